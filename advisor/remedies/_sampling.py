"""A training loader -> its sampler, exchanged inside it; the loader stays the same object."""

from __future__ import annotations

from typing import Any

from torch.utils.data import BatchSampler, IterableDataset

from advisor.errors import CannotApply
from advisor.record import Json, Record
from advisor.remedies import Session


def mapped_loader(session: Session, remedy: str) -> Any:
    """The training loader, where its samples have indices. Raises: CannotApply."""
    loader: Any = session.train
    if loader is None:
        raise CannotApply("the training loader is not known", context=remedy, hint="pass train= to advisor.watch")
    if isinstance(loader.dataset, IterableDataset):
        raise CannotApply("an IterableDataset has no indices to choose from", context=remedy)
    return loader


def indexed_loader(session: Session, remedy: str) -> Any:
    """The training loader, where a sampler chooses its samples by index. Raises: CannotApply."""
    loader = mapped_loader(session, remedy)
    batches = loader.batch_sampler
    if batches is not None and (type(batches) is not BatchSampler or batches.sampler is not loader.sampler):
        raise CannotApply(f"{type(batches).__name__} draws its own batches", context=remedy, hint="use sampler=")
    return loader


def exchange_sampler(session: Session, remedy: str, loader: Any, sampler: Any, **facts: Json) -> None:
    """Let another sampler choose the samples, until the loop is left; the remedy's fact says for how many epochs.

    sampler: counts in `epochs` how often it was begun
    """
    before = loader.sampler
    _put(loader, sampler)
    session.note(remedy, {**facts, "epochs": 0})
    session.on_finish(lambda: session.note(remedy, {**facts, "epochs": sampler.epochs}))
    session.on_leave(lambda: _put(loader, before))


def was_sampled(record: Record, remedy: str) -> bool:
    """Whether the loader asked the remedy's sampler."""
    note = record.facts.get(f"remedy.{remedy}")
    return isinstance(note, dict) and bool(note.get("epochs"))


def _put(loader: Any, sampler: Any) -> None:
    loader.__dict__["sampler"] = sampler  # below the guard of DataLoader.__setattr__: the loader stays the same object
    if loader.batch_sampler is not None:
        loader.batch_sampler.sampler = sampler
