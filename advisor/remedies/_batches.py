"""A batch as its loader gives it -> the same structure with the model's input changed and all else as it was."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.record import Json, Record
from advisor.remedies import Session

WHOLE = (torch.int64, torch.int32)


@dataclass(frozen=True, slots=True)
class Seen:
    """A training batch as the record has it: shapes with the batch first, and whether its numbers are floating.

    target_shape: None where the batch's form did not tell its target
    """

    shape: tuple[int, ...]
    floating: bool
    bytes: bool
    target_shape: tuple[int, ...] | None

    @property
    def tokens(self) -> bool:
        """Whether it may be token ids (N, T)."""
        return not self.floating and not self.bytes and len(self.shape) == 2

    @property
    def texts(self) -> bool:
        """Whether it may be token ids (N, T) with a target a row, and not one a token."""
        return self.tokens and self.target_shape is not None and self.target_shape[:2] != self.shape


def batch_seen(evidence: Evidence) -> Seen | None:
    """What the record says of the training batches; None where it says nothing."""
    try:
        table = evidence.table("input_batch")
    except Missing:
        return None
    shape = _shape(table.get("shape"))
    dtype = str(table.get("dtype"))
    return Seen(shape, "float" in dtype, dtype == "uint8", _shape(table.get("target_shape")) or None)


def are_changed_enough(diagnosis: Diagnosis) -> bool:
    """Whether training samples are changed too much already, or are not fitted even as they are."""
    return any(finding.rule in ("excessive_augmentation", "underfitting") for finding in diagnosis.findings)


def example_of(session: Session, remedy: str) -> tuple[Any, Tensor | None]:
    """One training batch (inputs, targets). Raises: CannotApply."""
    example = session.example()
    if example is None:
        raise CannotApply("no training batch to look at", context=remedy, hint="pass train= to advisor.watch")
    return example


class Trains:
    """Whether a batch of the training loader is to be trained on: a loop may also evaluate on that loader.

    It evaluates without gradients, or in eval mode where the model has been in training mode before.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._mode_tells = session, False

    def __call__(self) -> bool:
        training = self._session.model.training
        self._mode_tells = self._mode_tells or training
        return torch.is_grad_enabled() and (training or not self._mode_tells)


def change_batches(session: Session, name: str, change: Callable[[Any], Any], **facts: Json) -> None:
    """Pass training batches through `change`; the remedy's fact says in `batches` how many came out as others."""
    batches, trains = 0, Trains(session)

    def changed(batch: Any) -> Any:
        nonlocal batches
        after = change(batch) if trains() else batch
        batches += after is not batch
        return after

    session.note(name, facts | {"batches": 0})
    session.on_train_batch(changed)
    session.on_finish(lambda: session.note(name, facts | {"batches": batches}))


def were_changed(record: Record, name: str) -> bool:
    """Whether a training batch came out as another one."""
    note = record.facts.get(f"remedy.{name}")
    return isinstance(note, dict) and bool(note.get("batches"))


def find_input(batch: Any) -> Tensor | None:
    """The first tensor of numbers in a batch: floating, or bytes with the axes of images."""
    if isinstance(batch, Tensor):
        return batch if batch.is_floating_point() or (batch.dtype == torch.uint8 and batch.dim() == 4) else None
    parts = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, tuple | list) else ()
    return next((found for part in parts if (found := find_input(part)) is not None), None)


def find_tokens(batch: Any) -> tuple[int, Tensor] | None:
    """The token ids (N, T) of a batch and their place among its `leaves`; masks of ones are (N, T) too, and smaller."""
    found = [(i, leaf) for i, leaf in enumerate(leaves(batch)) if leaf.dtype in WHOLE and leaf.dim() == 2]
    return max(found, key=lambda pair: int(pair[1].max()), default=None)


def leaves(batch: Any) -> Iterator[Tensor]:
    """All tensors of a batch, in its order."""
    if isinstance(batch, Tensor):
        yield batch
    parts = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, tuple | list) else ()
    for part in parts:
        yield from leaves(part)


def with_input(
    batch: Any, like: Tensor, change: Callable[[Tensor], Tensor], *, lengths: frozenset[int] = frozenset()
) -> Any:
    """A shallow copy of a batch whose first tensor like `like` (type and axes but the first) is changed.

    The batch itself where it holds none. lengths: axes whose length may differ, such as the time of padded sequences.

    >>> with_input((torch.zeros(2, 3), torch.ones(2)), torch.zeros(1, 3), lambda x: x + 5)[0][0]
    tensor([5., 5., 5.])
    """
    if isinstance(batch, Tensor):
        same = batch.dtype == like.dtype and batch.dim() == like.dim()
        alike = same and all(batch.shape[i] == like.shape[i] or i in lengths for i in range(1, like.dim()))
        return change(batch) if alike else batch
    keys = list(batch) if isinstance(batch, Mapping) else range(len(batch)) if isinstance(batch, tuple | list) else ()
    for key in keys:
        changed = with_input(batch[key], like, change, lengths=lengths)
        if changed is not batch[key]:
            return _replaced(batch, key, changed)
    return batch


def with_leaf(batch: Any, index: int, change: Callable[[Tensor], Tensor]) -> Any:
    """A shallow copy of a batch with one of its `leaves` changed."""
    if isinstance(batch, Tensor):
        return change(batch)
    for key in list(batch) if isinstance(batch, Mapping) else range(len(batch)):
        count = sum(1 for _ in leaves(batch[key]))
        if index < count:
            return _replaced(batch, key, with_leaf(batch[key], index, change))
        index -= count
    return batch


def _replaced(batch: Any, key: Any, value: Any) -> Any:
    if not isinstance(batch, tuple):
        batch = copy.copy(batch)
        batch[key] = value
        return batch
    items = [*batch[:key], value, *batch[key + 1 :]]
    return type(batch)(*items) if hasattr(batch, "_fields") else tuple(items)


def _shape(value: Json) -> tuple[int, ...]:
    return tuple(int(str(side)) for side in value) if isinstance(value, list) else ()
