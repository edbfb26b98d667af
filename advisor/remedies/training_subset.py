"""Trains on a fixed random share of the training samples: the experiment that tells what more data would bring.

## What it does
Puts a sampler between the loader and its own one. Each index that the user's sampler draws is mapped to one of the
samples that were kept, so that the order, the random numbers and the number of steps in an epoch are those of the full
run, and each kept sample comes round 1/fraction times. With `repeat=False` the other indices are left out instead, and
an epoch has fewer steps. The shares of one seed are nested: a smaller one is part of a larger one. The loader has its
own sampler back when the loop is left.

## When it helps
Never as a fix. Trained on half, a quarter and an eighth of the data, the validation error shows whether it is still
falling with the number of samples, and by how much twice the data would lower it.

## When it hurts
Always: it is an experiment. A sampler that balances classes by its indices is no longer balanced.

## Cost
Less than a run, or the same with `repeat`.

## References
Hestness et al.: Deep Learning Scaling is Predictable, Empirically (error falls with a power of the number of samples).
arXiv 1712.00409.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from pydantic import Field
from torch.utils.data import Sampler

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._sampling import exchange_sampler, indexed_loader, was_sampled

CHANGES = frozenset({"subset"})


class Parameters(_Parameters):
    """fraction: share of the samples;  repeat: as many steps an epoch as before;  seed: which samples."""

    fraction: float = Field(default=0.5, gt=0.0, lt=1.0)
    repeat: bool = True
    seed: int = Field(default=0, ge=0)


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:  # noqa: ARG001  an experiment, no fix
    """None, ever."""
    return []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the samples cannot be chosen by index."""
    loader = indexed_loader(session, "training_subset")
    total = len(loader.dataset)
    kept = round(parameters.fraction * total)
    if not 0 < kept < total:
        raise CannotApply(f"{parameters.fraction:g} of {total} samples is none or all", context="training_subset")
    generator = torch.Generator().manual_seed(parameters.seed)
    chosen = torch.randperm(total, generator=generator).tolist()
    sampler = Subset(loader.sampler, chosen, kept, repeat=parameters.repeat)
    exchange_sampler(session, "training_subset", loader, sampler, kept=kept, of=total)


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any fraction leaves the same fact
    """Whether samples were left out."""
    return was_sampled(record, "training_subset")


class Subset(Sampler[int]):
    """Another sampler's indices, mapped to or restricted to those that are kept.

    order: a permutation of all indices;  kept: how many of its first ones stay
    """

    def __init__(self, sampler: Any, order: list[int], kept: int, *, repeat: bool) -> None:
        self.sampler, self.repeat, self.epochs = sampler, repeat, 0
        self.kept = frozenset(order[:kept])
        self.to = {index: order[rank % kept] for rank, index in enumerate(order)}

    def __iter__(self) -> Iterator[int]:
        self.epochs += 1
        for index in self.sampler:
            if self.repeat:
                yield self.to[int(index)]
            elif int(index) in self.kept:
                yield index

    def __len__(self) -> int:
        length = len(self.sampler)
        return length if self.repeat else round(length * len(self.kept) / len(self.to))

    def __getattr__(self, name: str) -> Any:
        """What a script asks of its own sampler, such as `set_epoch`."""
        if name.startswith("__") or "sampler" not in vars(self):
            raise AttributeError(name)
        return getattr(self.sampler, name)
