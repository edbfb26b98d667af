"""Trains on blends of two samples with targets blended alike, so that the network behaves simply between samples.

## What it does
From the second epoch on each training batch becomes λ·x + (1 - λ)·x', where x' are the same samples in another order,
and λ is drawn from Beta(α, α) for the batch. The loss becomes λ·loss(y) + (1 - λ)·loss(y'): class numbers become
probabilities for `cross_entropy` (class weights, ignored targets and label smoothing keep their meaning), floating
targets are blended themselves. It is found by the values of the targets, so other losses and validation stay as they
are. The first epoch is plain: in it is learnt which loss that is. Where none is found nothing is blended. Draws come
from generators of its own, seeded by the run's seed.

## When it helps
Overfitting and scarce data, label noise that is memorised, on images, tables and other inputs of numbers.

## When it hurts
Where the mean of two inputs is nothing (token numbers, codes of a category), with small networks and short runs. The
training loss no longer tells how well the data are fit: it rises although nothing is wrong.

## Cost
One pass over the inputs of each batch, and usually more epochs.

## References
Zhang, Cisse, Dauphin, Lopez-Paz: mixup: Beyond Empirical Risk Minimization. ICLR 2018, arXiv 1710.09412. Blending
within the batch, one λ for all of it, and α from 0.1 to 0.4 on ImageNet are theirs.
"""

from __future__ import annotations

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
from advisor.remedies._warp import as_type

CHANGES = frozenset({"inputs", "loss_arguments", "mixing"})


class Parameters(_Parameters):
    """alpha: of the Beta distribution; near 0 almost nothing is blended, 1 draws λ evenly."""

    alpha: float = Field(default=0.2, gt=0.0, le=100.0)  # Zhang et al. 2018: 0.1 to 0.4 on ImageNet


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """Two strengths; none for inputs that are no numbers, or where it was too much already."""
    if are_changed_enough(diagnosis):
        return []
    seen = batch_seen(evidence)
    if seen is None or not (seen.floating or (seen.bytes and len(seen.shape) == 4)):
        return []
    return [Parameters(), Parameters(alpha=0.4)]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the inputs are no numbers, or the run is one epoch long."""
    draws = np.random.default_rng(seed_of("mixup share"))

    def mix(inputs: Tensor, order: Tensor) -> tuple[Tensor, float]:
        share = float(draws.beta(parameters.alpha, parameters.alpha))
        own = inputs if inputs.is_floating_point() else inputs.float()
        return as_type(share * own + (1 - share) * own[order], inputs.dtype), share

    start(session, "mixup", mix, images=False)


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any alpha leaves the same facts
    """Whether batches were blended and a loss got blended targets."""
    return were_mixed(record, "mixup")
