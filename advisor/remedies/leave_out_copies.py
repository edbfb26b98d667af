"""Trains without the samples that the validation data hold too.

## What it does
Reads both data sets once and puts a sampler between the training loader and its own one, which leaves out each index
whose inputs are, bit for bit, those of a validation sample. Order and random numbers are the user's otherwise; an epoch
is as many samples shorter as there are copies. The loader has its own sampler back when the loop is left.

## When it helps
Where the split left copies on both sides, the validation score tells how well the network remembers them. Without them
in training it tells what it is meant to: it falls, and is right.

## When it hurts
The training data are fewer. Copies that were augmented, cropped or saved anew are not found: split by what the samples
are of (patient, recording, scene) where there are any.

## Cost
Both data sets are read once before the first epoch.

## References
Barz, Denzler: Do We Train on Test Data? Purging CIFAR of Near-Duplicates. Journal of Imaging 6(6) (2020), arXiv
1902.00423.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, Sampler

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.fence import untouched
from advisor.instruments._identity import identities
from advisor.instruments._leaves import inputs_of
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._sampling import exchange_sampler, indexed_loader, was_sampled

CHANGES = frozenset({"subset"})
AT_ONCE = 256  # samples hashed together


class Parameters(_Parameters):
    """It has none: a copy is one whose inputs are equal bit for bit."""


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:  # noqa: ARG001  the finding says it all
    """The one choice, where the leak was found: it lowers the score, so that no search by the score is to try it."""
    return [Parameters()] if any(finding.rule == "train_val_leakage" for finding in diagnosis.findings) else []


def apply(session: Session, parameters: Parameters) -> None:  # noqa: ARG001  it has none
    """Raises: CannotApply where one of the data sets is not known, or they have no sample in common."""
    loader = indexed_loader(session, "leave_out_copies")
    if session.val is None or isinstance(session.val.dataset, IterableDataset):
        raise CannotApply(
            "the validation data are not known before the first epoch",
            context="leave_out_copies",
            hint="pass val= to advisor.watch",
        )
    with untouched():
        ours, theirs = _read(loader), _read(session.val)
    kept = (~torch.isin(ours, theirs)).nonzero()[:, 0].tolist()
    if not 0 < len(kept) < len(ours):
        raise CannotApply(
            "the two data sets have no sample in common" if kept else "every training sample is in the validation data",
            context="leave_out_copies",
        )
    sampler = Kept(loader.sampler, frozenset(kept), len(ours))
    exchange_sampler(session, "leave_out_copies", loader, sampler, left_out=len(ours) - len(kept), of=len(ours))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  it has none
    """Whether samples were left out."""
    return was_sampled(record, "leave_out_copies")


class Kept(Sampler[int]):
    """Another sampler's indices without some of them. total: how many there are in the data set."""

    def __init__(self, sampler: Any, kept: frozenset[int], total: int) -> None:
        self.sampler, self.kept, self.total, self.epochs = sampler, kept, total, 0

    def __iter__(self) -> Iterator[int]:
        self.epochs += 1
        return (index for index in self.sampler if int(index) in self.kept)

    def __len__(self) -> int:
        return round(len(self.sampler) * len(self.kept) / self.total)

    def __getattr__(self, name: str) -> Any:
        """What a script asks of its own sampler, such as `set_epoch`."""
        if name.startswith("__") or "sampler" not in vars(self):
            raise AttributeError(name)
        return getattr(self.sampler, name)


def _read(loader: DataLoader[Any]) -> Tensor:
    """(N,) what tells each sample of a data set from others, in the order of their indices."""
    batches = DataLoader(loader.dataset, batch_size=AT_ONCE, collate_fn=loader.collate_fn)
    return torch.cat([identities(inputs_of(batch)).cpu() for batch in batches])
