"""Images (N, C, H, W) -> the same, each moved, turned, sheared, scaled and mirrored by draws of its own, at once.

For a place in the result, in pixels from the centre, the source is read at `mirror · turn · shear · zoom` of it plus a
shift; what `affine_grid` wants are the same numbers in halves of each side.
"""

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
    shear: float = 0.0,
    scale: float = 0.0,
    crop: float = 0.0,
    flip: bool = False,
) -> Tensor:
    """Same shape, type and device.

    shift: largest shift as a share of each side, drawn in whole pixels, one at least
    rotation, shear: largest angle in degrees;  scale: largest departure of the size from 1
    crop: largest share of each side that is cut away before what is left is enlarged to the whole
    flip: mirror each with probability 1/2

    What comes from outside repeats the edge. Shifts and flips alone copy pixels and interpolate nothing.
    """
    count, _, height, width = images.shape
    angle = _between(count, generator) * math.radians(rotation)
    slant = (_between(count, generator) * math.radians(shear)).tan()
    zoom = 1 / (1 + _between(count, generator) * scale)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0) if flip else torch.ones(count)
    across = _pixels(count, width, shift, generator) * 2 / width  # a pixel is 2/width of the range
    down = _pixels(count, height, shift, generator) * 2 / height
    if crop:
        cut = torch.rand(count, generator=generator) * crop
        zoom = zoom * (1 - cut)
        across, down = across + cut * _between(count, generator), down + cut * _between(count, generator)
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    first = torch.stack([mirror * cos, mirror * (slant * cos - sin) * height / width, across], dim=1)
    second = torch.stack([sin * width / height, slant * sin + cos, down], dim=1)
    theta = torch.stack([first, second], dim=1)
    exact = images.dtype if images.dtype == torch.float64 else torch.float32
    grid = F.affine_grid(theta.to(images.device, exact), list(images.shape), align_corners=False)
    mode = "bilinear" if rotation or shear or scale or crop else "nearest"
    warped = F.grid_sample(images.to(exact), grid, mode=mode, padding_mode="border", align_corners=False)
    return as_type(warped, images.dtype)


def as_type(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Computed numbers as pixels of a type: bytes are rounded and stay within their range."""
    return images.to(dtype) if dtype.is_floating_point else images.round().clamp(0, 255).to(dtype)


def _between(count: int, generator: torch.Generator) -> Tensor:
    """(N,) evenly in [-1, 1)."""
    return torch.rand(count, generator=generator) * 2 - 1


def _pixels(count: int, side: int, shift: float, generator: torch.Generator) -> Tensor:
    """(N,) whole numbers, evenly among those up to the largest shift."""
    most = max(1, round(shift * side)) if shift else 0
    return torch.randint(-most, most + 1, (count,), generator=generator).float()
