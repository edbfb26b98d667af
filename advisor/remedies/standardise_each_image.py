"""Gives every image mean 0 and standard deviation 1 by itself, whatever its exposure was.

## What it does
Before the model reads a batch of images (N, C, H, W), the mean over all pixels and channels of each image is taken off
it, and it is divided by its standard deviation, but by 1/√N at least, N being how many values it has. A forward
pre-hook on the model does it, so that validation and all later use get the same; a saved `state_dict` that is loaded
into another model does not bring it along.

## When it helps
Images from several cameras, scanners or days, that differ in exposure and contrast and not in content.

## When it hurts
Where brightness is the signal (density in an X-ray, day and night), and in images of one shade.

## Cost
One pass over the inputs of each batch.

## References
TensorFlow, tf.image.per_image_standardization: (x - mean) / max(std, 1/√N).
"""

from __future__ import annotations

import math

from torch import Tensor

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._each_image import EachImage, graft, has_images, images_of, was_reached

CHANGES = frozenset({"inputs", "input_scale"})
LASTS = "model"


class Parameters(_Parameters):
    """It has none."""


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:  # noqa: ARG001  by the inputs alone
    """The one choice, for images."""
    return [Parameters()] if has_images(evidence) else []


def apply(session: Session, parameters: Parameters) -> None:  # noqa: ARG001  it has none
    """Raises: CannotApply where the inputs are no images."""
    graft(session, "standardise_each_image", Standardised(images_of(session, "standardise_each_image").shape[1]))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  it has none
    """Whether a training forward came through the hook."""
    return was_reached(record, "standardise_each_image")


class Standardised(EachImage):
    """The hook."""

    def change(self, images: Tensor) -> Tensor:
        axes = (1, 2, 3)
        least = 1 / math.sqrt(images[0].numel())
        spread = images.std(axes, correction=0, keepdim=True).clamp(min=least)
        return (images - images.mean(axes, keepdim=True)) / spread
