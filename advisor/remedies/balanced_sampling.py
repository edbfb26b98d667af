"""Draws training samples so that every class comes up equally often.

## What it does
Exchanges the sampler inside the training loader for one that draws a class evenly and then one of its samples, with
replacement, as many as before in an epoch: torch's WeightedRandomSampler with the inverse of each class's count. The
draws come from a generator of its own, seeded by the run's seed. The loader is the same object, and has its own sampler
back when the loop is left. Labels are read through the data set once, at most some thousand where they lie in no
tensor.

## When it helps
class_imbalance: a rare class that the model has learnt and does not name.

## When it hurts
A common sample is seen more rarely and a rare one again and again, which is how it is learnt by heart where the loop
does not augment. Probabilities are no longer those of the data. Where mistakes cost the same whatever the class it
lowers the accuracy.

## Cost
One reading of the labels.

## References
Buda et al.: A systematic study of the class imbalance problem in convolutional neural networks. Neural Networks 106
(2018), arXiv 1710.05381 (oversampling was best in almost all cases).
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field
from torch.utils.data import RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler

from advisor.class_balance import UNEVEN
from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._labels import labels_of
from advisor.remedies._random import own_generator
from advisor.remedies._sampling import exchange_sampler, indexed_loader, was_sampled
from advisor.remedies.class_weights import counted

CHANGES = frozenset({"class_balance", "sampler"})
PLAIN = (RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler)


class Parameters(_Parameters):
    """power: 1 for classes that come up equally often, 0.5 for half of the way there."""

    power: float = Field(default=1.0, gt=0.0, le=1.0)


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """Full balance, and half of the way to it, where classes are uneven."""
    counts = counted(evidence)
    fired = any(finding.rule == "class_imbalance" for finding in diagnosis.findings)
    uneven = counts is not None and max(counts) >= UNEVEN * max(1.0, min(counts))
    return [Parameters(power=power) for power in (1.0, 0.5)] if fired or uneven else []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the loader's samples cannot be chosen, or have no class."""
    loader = indexed_loader(session, "balanced_sampling")
    before = loader.sampler
    if type(before) not in PLAIN:
        raise CannotApply(f"{type(before).__name__} is a sampler of the loop's own", context="balanced_sampling")
    drawn, labels = labels_of(session, "balanced_sampling", every=True)
    counts = labels.bincount().double()
    there = counts[counts > 0]
    if len(there) < 2 or there.max() == there.min():
        raise CannotApply("all classes are equally frequent", context="balanced_sampling")
    weights = counts.new_zeros(len(loader.dataset))
    weights[drawn] = counts[labels] ** -parameters.power
    if isinstance(before, WeightedRandomSampler):
        weights = weights * (before.weights > 0)
    sampler = Balanced(weights.tolist(), len(before), replacement=True, generator=own_generator("balanced_sampling"))
    facts: dict[str, Json] = {"counts": counts.long().tolist(), "samples": len(before)}
    exchange_sampler(session, "balanced_sampling", loader, sampler, **facts)


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any power leaves the same fact
    """Whether the loader asked the new sampler."""
    return was_sampled(record, "balanced_sampling")


class Balanced(WeightedRandomSampler):
    """Counts its epochs."""

    epochs = 0

    def __iter__(self) -> Iterator[int]:
        self.epochs += 1
        return super().__iter__()
