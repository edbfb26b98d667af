"""Images (N, C, H, W) -> the same, each shifted, rotated, scaled and mirrored by its own draws, in one resampling."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from torch import Tensor


def warp(
    images: Tensor,
    generator: torch.Generator,
    *,
    shift: float = 0.0,
    rotation: float = 0.0,
    scale: float = 0.0,
    flip: bool = False,
) -> Tensor:
    """Same shape, type and device.

    shift: largest shift as a share of each side, drawn in whole pixels, one at least
    rotation: largest angle in degrees;  scale: largest departure of the size from 1
    flip: mirror each with probability 1/2

    What comes from outside repeats the edge. Shifts and flips alone copy pixels and interpolate nothing.
    """
    count, _, height, width = images.shape
    theta = _theta(count, height, width, generator, shift=shift, rotation=rotation, scale=scale, flip=flip)
    exact = images.dtype if images.dtype == torch.float64 else torch.float32
    grid = F.affine_grid(theta.to(images.device, exact), list(images.shape), align_corners=False)
    mode = "bilinear" if rotation or scale else "nearest"
    warped = F.grid_sample(images.to(exact), grid, mode=mode, padding_mode="border", align_corners=False)
    if not images.is_floating_point():
        warped = warped.round().clamp(0, 255)  # the range of a byte
    return warped.to(images.dtype)


def _theta(
    count: int,
    height: int,
    width: int,
    generator: torch.Generator,
    *,
    shift: float,
    rotation: float,
    scale: float,
    flip: bool,
) -> Tensor:
    """(N, 2, 3) from a place in the result to the place in the source, both in [-1, 1] as `affine_grid` has them."""
    angle = _between(count, generator) * math.radians(rotation)
    zoom = 1 / (1 + _between(count, generator) * scale)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0) if flip else torch.ones(count)
    across = _pixels(count, width, shift, generator) * 2 / width  # a pixel is 2/width of the range
    down = _pixels(count, height, shift, generator) * 2 / height
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    first = torch.stack([mirror * cos, -mirror * sin * height / width, across], dim=1)
    second = torch.stack([sin * width / height, cos, down], dim=1)
    return torch.stack([first, second], dim=1)


def _between(count: int, generator: torch.Generator) -> Tensor:
    """(N,) evenly in [-1, 1)."""
    return torch.rand(count, generator=generator) * 2 - 1


def _pixels(count: int, side: int, shift: float, generator: torch.Generator) -> Tensor:
    """(N,) whole numbers, evenly among those up to the largest shift."""
    most = max(1, round(shift * side)) if shift else 0
    return torch.randint(-most, most + 1, (count,), generator=generator).float()
