"""Images (N, C, H, W) -> the same with another contrast, brightness and colour for each, whatever their range is.

Nothing here knows what black is: inputs may be bytes, shares of 1 or normalised. So contrast is stretched around an
image's own mean, and brightness and colour are moved by shares of a spread that was measured on the data.
"""

from __future__ import annotations

import torch
from torch import Tensor

from advisor.remedies._warp import as_type

COLOURS = 3  # channels of an image in colour


def look(
    images: Tensor,
    generator: torch.Generator,
    *,
    spread: float,
    contrast: float = 0.0,
    brightness: float = 0.0,
    colour: float = 0.0,
) -> Tensor:
    """Same shape, type and device.

    spread: standard deviation of the pixels of the data
    contrast: largest departure from 1 of the factor by which an image leaves its own mean
    brightness: largest shift of an image, in spreads
    colour: largest departure from 1 of the factor by which a pixel leaves its grey, and in spreads the largest shift
            of one channel against the others; of images with three channels
    """
    pixels = images.to(images.dtype if images.dtype == torch.float64 else torch.float32)
    if colour and images.shape[1] == COLOURS:
        grey = pixels.mean(1, keepdim=True)
        cast = _between((len(images), COLOURS, 1, 1), generator, pixels)
        cast = (cast - cast.mean(1, keepdim=True)) * colour * spread
        pixels = grey + (pixels - grey) * _factor(len(images), colour, generator, pixels) + cast
    if contrast:
        mean = pixels.mean((1, 2, 3), keepdim=True)
        pixels = mean + (pixels - mean) * _factor(len(images), contrast, generator, pixels)
    if brightness:
        pixels = pixels + _between((len(images), 1, 1, 1), generator, pixels) * brightness * spread
    return as_type(pixels, images.dtype)


def _factor(count: int, most: float, generator: torch.Generator, like: Tensor) -> Tensor:
    """(N, 1, 1, 1) evenly in 1 ± most."""
    return 1 + _between((count, 1, 1, 1), generator, like) * most


def _between(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Evenly in [-1, 1), on the device of the images."""
    return (torch.rand(shape, generator=generator) * 2 - 1).to(like)
