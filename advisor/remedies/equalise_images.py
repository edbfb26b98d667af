"""Spreads the intensities of every image evenly, so that images differ in content and not in exposure or contrast.

## What it does
Before the model reads a batch of images (N, C, H, W), each channel of each image is equalised: a pixel becomes the
share of the channel's pixels that are no brighter, stretched to the range of the training data as one batch shows it.
So the inputs keep their scale. It is exact: no bins. A channel of one shade stays as it is. A forward pre-hook on the
model does it, so that validation and all later use get the same; a saved `state_dict` that is loaded into another model
does not bring it along.

## When it helps
Images from several cameras, scanners or staining batches, whose intensities were mapped in different ways.

## When it hurts
Where intensity is the signal, and in images that are mostly background: its noise is spread over the whole range.

## Cost
Sorting the pixels of each batch.

## References
Gonzalez, Woods: Digital Image Processing, 3rd ed. (2008), 3.3.1 Histogram Equalization.
Pizer et al.: Adaptive Histogram Equalization and Its Variations. Computer Vision, Graphics, and Image Processing 39
(1987).
"""

from __future__ import annotations

import torch
from torch import Tensor

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
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
    """Raises: CannotApply where the inputs are no images, or of one shade."""
    images = images_of(session, "equalise_images")
    least, most = float(images.min()), float(images.max())
    if not least < most:
        raise CannotApply("the images have one shade", context="equalise_images")
    graft(session, "equalise_images", Equalised(images.shape[1], least, most))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  it has none
    """Whether a training forward came through the hook."""
    return was_reached(record, "equalise_images")


class Equalised(EachImage):
    """The hook. least, most: the range that every channel is stretched to."""

    def __init__(self, channels: int, least: float, most: float) -> None:
        super().__init__(channels)
        self.least, self.most = least, most

    def change(self, images: Tensor) -> Tensor:
        values = images.detach().flatten(2).contiguous()  # (N, C, P)
        exact = values.dtype if values.dtype == torch.float64 else torch.float32
        ordered = values.sort(-1).values
        rank = torch.searchsorted(ordered, values, right=True).to(exact)  # pixels that are no brighter
        lowest = rank.amin(-1, keepdim=True)
        pixels = values.shape[-1]
        share = (rank - lowest) / (pixels - lowest).clamp(min=1)
        spread = self.least + share * (self.most - self.least)
        return torch.where(lowest < pixels, spread.to(values.dtype), values).reshape(images.shape)
