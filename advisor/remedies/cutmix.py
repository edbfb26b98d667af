"""Trains on images with a rectangle of another image in them, and targets in proportion to the areas.

## What it does
From the second epoch on a rectangle of every image of a training batch is replaced by that of another image of the
batch, the same rectangle for the whole batch: its area is 1 - λ, λ drawn from Beta(α, α), its centre anywhere, and what
lies outside the image is cut off. The loss becomes λ·loss(y) + (1 - λ)·loss(y'), with λ the area that was left: class
numbers become probabilities for `cross_entropy` (class weights, ignored targets and label smoothing keep their
meaning). It is found by the values of the targets, so other losses and validation stay as they are. The first epoch is
plain: in it is learnt which loss that is. Draws come from generators of its own, seeded by the run's seed.

## When it helps
Overfitting and scarce data in image classification with networks that have capacity to spare.

## When it hurts
Where the object is small and the rectangle may hide it whole, where the background is the label, with small networks
and short runs. The training loss no longer tells how well the data are fit.

## Cost
One copy of each batch, and usually more epochs.

## References
Yun, Han, Oh, Chun, Choe, Yoo: CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features.
ICCV 2019, arXiv 1905.04899. α = 1 is theirs.
"""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field
from torch import Tensor

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._batches import are_changed_enough, batch_seen
from advisor.remedies._mixing import start, were_mixed
from advisor.remedies._random import seed_of

CHANGES = frozenset({"inputs", "loss_arguments", "mixing"})


class Parameters(_Parameters):
    """alpha: of the Beta distribution that the area which is left is drawn from; 1 draws it evenly."""

    alpha: float = Field(default=1.0, gt=0.0, le=100.0)  # Yun et al. 2019


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The one choice, for images; none where it was too much already."""
    if are_changed_enough(diagnosis):
        return []
    seen = batch_seen(evidence)
    return [Parameters()] if seen is not None and len(seen.shape) == 4 and (seen.floating or seen.bytes) else []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the inputs are no images, the targets are, or the run is one epoch long."""
    draws = np.random.default_rng(seed_of("cutmix share"))

    def mix(images: Tensor, order: Tensor) -> tuple[Tensor, float]:
        height, width = images.shape[-2:]
        top, bottom, left, right = rectangle(height, width, draws.beta(parameters.alpha, parameters.alpha), draws)
        mixed = images.clone()
        mixed[..., top:bottom, left:right] = images[order, ..., top:bottom, left:right]
        return mixed, 1 - (bottom - top) * (right - left) / (height * width)

    start(session, "cutmix", mix, images=True)


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any alpha leaves the same facts
    """Whether batches were cut and a loss got mixed targets."""
    return were_mixed(record, "cutmix")


def rectangle(height: int, width: int, share: float, draws: np.random.Generator) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of 1 - share of the area around an even draw, cut off at the edges (their eq. 2)."""
    side = math.sqrt(1 - share)
    down, across = int(draws.integers(height)), int(draws.integers(width))
    half_height, half_width = int(height * side) // 2, int(width * side) // 2
    return (
        max(down - half_height, 0),
        min(down + half_height, height),
        max(across - half_width, 0),
        min(across + half_width, width),
    )
