"""Shows every training sample a little different each time, so that what is learned survives such a difference.

## What it does
Changes the inputs of training batches, and never those of validation. By the shape of a batch: images (N, C, H, W)
are shifted by whole pixels, and flipped, rotated, sheared, scaled or cropped and enlarged where that is asked for;
their contrast, brightness and colour may change too. Tables (N, F) get Gaussian noise in proportion to each feature's
standard deviation, but for features of two values or one; sequences (N, T, F) get the same noise and a random factor a
sample. Every sample draws its own change. What a shift uncovers repeats the edge: 0 is no background once inputs are
normalised. Draws come from a generator of its own, seeded by the run's seed.

## When it helps
Overfitting and scarce data, with a change after which a person would still give the same label.

## When it hurts
Where the change destroys the label: a mirrored digit, a rotated 6, noise in a feature that is a code. Too strong, it
hides the signal and the network underfits. Targets that are images themselves would have to move too: not done.

## Cost
One resampling of each batch on its own device, and usually more epochs.

## References
Shorten, Khoshgoftaar: A survey on Image Data Augmentation for Deep Learning. Journal of Big Data 6:60 (2019).
He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (shifts by 4 of 32 pixels). arXiv 1512.03385.
Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural Networks (crops, mirrored, in
other colours). NIPS 2012.
Bishop: Training with Noise is Equivalent to Tikhonov Regularization. Neural Computation 7 (1995) 108-116.
Iwana, Uchida: An empirical survey of data augmentation for time series classification with neural networks. PLoS ONE
16(7) (2021), arXiv 2007.15951.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._batches import (
    are_changed_enough,
    batch_seen,
    change_batches,
    example_of,
    find_input,
    were_changed,
    with_input,
)
from advisor.remedies._images import COLOURS, look
from advisor.remedies._random import own_generator
from advisor.remedies._warp import warp

CHANGES = frozenset({"inputs", "augmentation"})
Kind = Literal["images", "tables", "sequences"]
MOST_CHANNELS = 4  # of an image as files have them (RGBA); tells (N, H, W, C) from (N, C, H, W)
MOVES, LOOKS = ("shift", "rotation", "shear", "scale", "crop", "flip"), ("contrast", "brightness", "colour")


class Parameters(_Parameters):
    """Images: shift (share of a side), rotation and shear (degrees), scale (1 ± scale), flip (left and right, half of
    them), crop (largest share of a side that is cut away), contrast (1 ± contrast), brightness and colour (standard
    deviations of the pixels).

    Tables and sequences: noise (standard deviations of a feature). Sequences: scaling (sd of a factor around 1).
    """

    shift: float = Field(default=0.125, ge=0.0, le=0.5)  # He et al. 2015: 4 of 32 pixels
    rotation: float = Field(default=0.0, ge=0.0, le=180.0)
    shear: float = Field(default=0.0, ge=0.0, lt=90.0)
    scale: float = Field(default=0.0, ge=0.0, lt=1.0)
    crop: float = Field(default=0.0, ge=0.0, lt=1.0)
    flip: bool = False
    contrast: float = Field(default=0.0, ge=0.0, lt=1.0)
    brightness: float = Field(default=0.0, ge=0.0, le=10.0)
    colour: float = Field(default=0.0, ge=0.0, lt=1.0)
    noise: float = Field(default=0.1, ge=0.0, le=10.0)  # a convention: a tenth of a feature's spread changes no meaning
    scaling: float = Field(default=0.0, ge=0.0, lt=1.0)


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """By the shape of the inputs, the gentlest first; none for inputs that it cannot change."""
    if are_changed_enough(diagnosis):
        return []
    seen = batch_seen(evidence)
    kind = _kind(seen.shape) if seen is not None else None
    if seen is None or kind is None or (kind == "images" and not (seen.floating or seen.bytes)):
        return []
    if kind == "images":
        # 10°: Shorten and Khoshgoftaar hold 1° to 20° for useful on digits; shear and scale: conventions
        turned = Parameters(rotation=10.0, shear=10.0, scale=0.1)
        if seen.shape[1] != COLOURS:
            return [Parameters(), turned, Parameters(flip=True, contrast=0.2, brightness=0.2)]
        # Krizhevsky et al. 2012: crops of 224 of 256 pixels, mirrored, in other colours; how far, 0.2, is a convention
        return [Parameters(), turned, Parameters(flip=True, crop=0.125, contrast=0.2, brightness=0.2, colour=0.2)]
    if kind == "tables" and seen.floating:
        return [Parameters(), Parameters(noise=0.3)]  # half a decade more, still less than the spread itself
    if kind == "sequences" and seen.floating:
        # 0.03 and 0.1: jitter and scaling in Iwana and Uchida's code (uchidalab/time_series_augmentation); then a tenth
        return [Parameters(noise=0.03, scaling=0.1), Parameters(noise=0.1, scaling=0.1)]
    return []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the inputs are not images, a table or sequences of numbers, or nothing would change."""
    example = example_of(session, "augmentation")
    inputs, targets = find_input(example[0]), example[1]
    kind = _kind(tuple(inputs.shape)) if inputs is not None else None
    if inputs is None or kind is None:
        raise CannotApply(
            "expected inputs (N, C, H, W), (N, F) or (N, T, F) of numbers",
            context="augmentation",
            hint="augment in the data set",
        )
    if kind == "images" and targets is not None and targets.shape[-2:] == inputs.shape[-2:]:
        raise CannotApply("the targets are images too and would have to move with the inputs", context="augmentation")
    change = _changer(kind, inputs, parameters)
    lengths = frozenset({1} if kind == "sequences" else ())
    changed = partial(with_input, like=inputs, change=change, lengths=lengths)
    change_batches(session, "augmentation", changed, kind=kind, shape=list(inputs.shape))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any change leaves the same fact
    """Whether a training batch was changed."""
    return were_changed(record, "augmentation")


def _kind(shape: tuple[int, ...]) -> Kind | None:
    if len(shape) == 4:
        channels_last = shape[-1] <= MOST_CHANNELS < shape[1]
        return None if channels_last else "images"
    return {2: "tables", 3: "sequences"}.get(len(shape))  # type: ignore[return-value]  # mypy widens to str


def _changer(kind: Kind, example: Tensor, p: Parameters) -> Callable[[Tensor], Tensor]:
    """Raises: CannotApply where all that could change is 0."""
    generator = own_generator("augmentation")
    if kind == "images":
        return _image_changer(example, generator, p)
    scaling = p.scaling if kind == "sequences" else 0.0
    if not (p.noise or scaling):
        raise CannotApply("noise and scaling are 0", context="augmentation")
    spread = _spread(example)
    if not spread.any():
        raise CannotApply("every feature has two values or one", context="augmentation")

    def change(x: Tensor) -> Tensor:
        noise = torch.randn(x.shape, generator=generator).to(x) * spread.to(x) * p.noise
        factor = torch.randn((len(x), *[1] * (x.dim() - 1)), generator=generator).to(x) * scaling + 1
        return x * factor + noise

    return change


def _image_changer(example: Tensor, generator: torch.Generator, p: Parameters) -> Callable[[Tensor], Tensor]:
    moves = {name: getattr(p, name) for name in MOVES}
    looks = {name: getattr(p, name) for name in LOOKS if name != "colour" or example.shape[1] == COLOURS}
    if not any(moves.values()) and not any(looks.values()):
        raise CannotApply(f"{', '.join(moves)} and {', '.join(looks)} are all 0", context="augmentation")
    spread = float(example.double().std())

    def change(images: Tensor) -> Tensor:
        images = warp(images, generator, **moves) if any(moves.values()) else images
        return look(images, generator, spread=spread, **looks) if any(looks.values()) else images

    return change


def _spread(example: Tensor) -> Tensor:
    """(F,) standard deviation of each feature over samples (and time); 0 for a feature of two values or one: a code."""
    rows = example.detach().reshape(-1, example.shape[-1]).double()
    several = torch.tensor([len(column.unique()) > 2 for column in rows.T], device=rows.device)
    return (rows.std(0, correction=0) * several).to(example.dtype)
