"""Draws the training samples in a new random order in every epoch, where the loader reads them as they lie.

## What it does
Puts torch's random sampler in the place of the sequential one inside the training loader: the orders are those of
`shuffle=True`, drawn from the loader's generator or the global random state. A `DistributedSampler` without shuffling
begins to shuffle. Every sample still comes once an epoch, in as many batches. After the loop the loader reads in order
again.

## When it helps
Data that are sorted by class or by time of recording; a loop that leaves an epoch early and so never sees the end of
the data.

## When it hurts
Where the order carries meaning: a state that goes from batch to batch, windows of a series that are trained in turn on
purpose, batches that belong together. Nothing in a loader tells that, so it is for the user to know.

## Cost
None, unless the data are read fast only in their order.

## References
LeCun, Bottou, Orr, Müller: Efficient BackProp, section 4.2. 1998. https://doi.org/10.1007/3-540-49430-8_2
PyTorch, torch.utils.data: DataLoader, RandomSampler. https://docs.pytorch.org/docs/stable/data.html
"""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import DistributedSampler, RandomSampler, SequentialSampler

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._sampling import exchange_sampler, indexed_loader, was_sampled

CHANGES = frozenset({"sampler"})


class Parameters(_Parameters):
    """It has none."""


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:  # noqa: ARG001  the loader is what counts
    """The one choice, where the loader was seen to read its samples in order."""
    try:
        table = evidence.table("train_identities")
    except Missing:
        return []
    return [Parameters()] if table.get("sampler") == "SequentialSampler" or table.get("same_order") is True else []


def apply(session: Session, parameters: Parameters) -> None:  # noqa: ARG001  it has none
    """Raises: CannotApply where the samples have no indices, or something else chooses their order."""
    loader = indexed_loader(session, "shuffle")
    own = loader.sampler
    if isinstance(own, DistributedSampler) and not own.shuffle:
        own.shuffle = True
        session.on_leave(lambda: setattr(own, "shuffle", False))
        session.on_finish(lambda: session.note("shuffle", {"epochs": 1}))
        return
    if type(own) is not SequentialSampler:
        raise CannotApply(f"{type(own).__name__} chooses the order already", context="shuffle")
    exchange_sampler(session, "shuffle", loader, Shuffled(own.data_source, generator=loader.generator))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  it has none
    """Whether an epoch was drawn in random order."""
    return was_sampled(record, "shuffle")


class Shuffled(RandomSampler):
    """Torch's own, which counts how often it was begun."""

    epochs = 0

    def __iter__(self) -> Iterator[int]:
        self.epochs += 1
        yield from super().__iter__()
