"""Shows every training image after one randomly chosen operation of random strength: no number to be tuned.

## What it does
Applies torchvision's `TrivialAugmentWide` to every image of a training batch by itself, and never in validation: one of
identity, shear, translation, rotation, brightness, colour, contrast, sharpness, posterise, solarise, autocontrast and
equalise, at a strength drawn evenly. It works on bytes; images with floating numbers in [0, 1] are made bytes and given
back as they came. Draws come from a generator of its own, seeded by the run's seed.

## When it helps
Overfitting on natural images, where nobody has time to tune an augmentation.

## When it hurts
Where an operation destroys the label: inverted intensities in a medical image, a colour that is the class, a rotation
by up to 135° of a digit. On images of few pixels, where a translation by 32 of them leaves nothing.

## Cost
A loop over the images of a batch on their own device: on one CPU thread 0.6 ms for an image of 32×32 pixels and 4 ms
for 224×224 (measured on a busy machine). Usually more epochs.

## References
Müller, Hutter: TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation. ICCV 2021, arXiv 2103.10158.
"""

from __future__ import annotations

from functools import partial

import torch
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
from advisor.remedies._random import drawing_from, own_generator
from advisor.remedies._warp import as_type

CHANGES = frozenset({"inputs", "operations"})
CHANNELS = (1, 3)  # that torchvision's operations on colour know
SMALLEST = 32  # pixels of a side: CIFAR's and SVHN's, the smallest images that Müller and Hutter train on
WHITE = 255  # the largest byte


class Parameters(_Parameters):
    """It has none: that is its point."""


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The one choice, for images of the size that it was made for."""
    if are_changed_enough(diagnosis):
        return []
    seen = batch_seen(evidence)
    if seen is None or len(seen.shape) != 4 or seen.shape[1] not in CHANNELS or min(seen.shape[2:]) < SMALLEST:
        return []
    return [Parameters()] if seen.bytes or seen.floating else []


def apply(session: Session, parameters: Parameters) -> None:  # noqa: ARG001  it has none
    """Raises: CannotApply where the inputs are no images of a known range."""
    example = example_of(session, "trivial_augment")
    inputs, targets = find_input(example[0]), example[1]
    if inputs is None or inputs.dim() != 4 or inputs.shape[1] not in CHANNELS:
        raise CannotApply(
            "expected images (N, 1 or 3, H, W)", context="trivial_augment", hint="augment in the data set"
        )
    if targets is not None and targets.shape[-2:] == inputs.shape[-2:]:
        raise CannotApply("the targets are images too and would have to move", context="trivial_augment")
    scale = _scale(inputs)
    from torchvision.transforms import v2  # here: no other remedy needs it

    augment, generator = v2.TrivialAugmentWide(), own_generator("trivial_augment")

    def change(images: Tensor) -> Tensor:
        as_bytes = as_type(images * scale, torch.uint8) if images.is_floating_point() else images
        with drawing_from(generator):
            changed = torch.stack([augment(image) for image in as_bytes])
        return changed.to(images.dtype) / scale if images.is_floating_point() else changed

    changed = partial(with_input, like=inputs, change=change)
    change_batches(session, "trivial_augment", changed, scale=scale)


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  it has none
    """Whether a training batch was changed."""
    return were_changed(record, "trivial_augment")


def _scale(images: Tensor) -> float:
    """What makes bytes of the pixels. Raises: CannotApply where black and white are not known."""
    if not images.is_floating_point():
        return 1.0
    least, most = float(images.min()), float(images.max())
    # a batch that never comes near 1 may have another white
    if least < 0 or most > 1 or most <= 0.5:
        raise CannotApply(
            f"the images' black and white are not known: they lie between {least:.3g} and {most:.3g}",
            context="trivial_augment",
            hint="put v2.TrivialAugmentWide() before the normalisation in the data set",
        )
    return float(WHITE)
