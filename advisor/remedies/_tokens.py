"""Token ids (N, T) of a training batch -> which of them carry the text, and which frame it: padding, begin and end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from advisor.errors import CannotApply
from advisor.remedies import Session
from advisor.remedies._batches import WHOLE, change_batches, example_of, find_tokens, leaves, with_leaf

FEWEST = 4  # rows: fewer begin with the same word by chance too often
LABELS = {"label", "labels", "target", "targets", "y"}


@dataclass(frozen=True, slots=True)
class Tokens:
    """What one batch shows.

    place:   of the ids among the tensors of a batch
    padding: the id that fills the ends of rows; None where rows are full
    frame:   ids with which every row begins or ends
    aligned: every token has a target of its own
    """

    place: int
    padding: int | None
    frame: tuple[int, ...]
    aligned: bool

    def text(self, ids: Tensor) -> Tensor:
        """(N, T) bool: the tokens that may be changed."""
        free = torch.ones_like(ids, dtype=torch.bool)
        for fixed in (*self.frame, *([] if self.padding is None else [self.padding])):
            free &= ids != fixed
        return free


def tokens_of(session: Session, name: str) -> Tokens:
    """Raises: CannotApply where the batches hold no token ids, or the targets are made of them."""
    inputs, targets = example_of(session, name)
    found = find_tokens(inputs)
    if found is None:
        raise CannotApply("expected token ids (N, T), whole numbers", context=name)
    place, ids = found
    labels = next((v for k, v in inputs.items() if k in LABELS), None) if isinstance(inputs, Mapping) else targets
    if labels is None:
        raise CannotApply("the targets may be made of the ids: the batch holds nothing else", context=name)
    padding = _padding(ids)
    return Tokens(place, padding, _frame(ids, padding), _aligned(ids, labels))


def change_tokens(session: Session, name: str, tokens: Tokens, change: Callable[[Tensor], Tensor]) -> None:
    """Pass the ids of training batches through `change`."""

    def changed(batch: Any) -> Any:
        ids = next((leaf for i, leaf in enumerate(leaves(batch)) if i == tokens.place), None)
        if ids is None or ids.dtype not in WHOLE or ids.dim() != 2:
            return batch
        return with_leaf(batch, tokens.place, change)

    change_batches(session, name, changed, padding=tokens.padding, frame=list(tokens.frame))


def _padding(ids: Tensor) -> int | None:
    """The id in which rows end (or begin) in runs of different lengths."""
    for rows in (ids, ids.flip(1)):
        last = int(rows[:, -1].mode().values)
        runs = (rows == last).flip(1).long().cumprod(1).sum(1)
        if int(runs.max()) > 1 and len(set(runs.tolist())) > 1:
            return last
    return None


def _frame(ids: Tensor, padding: int | None) -> tuple[int, ...]:
    """The ids that all rows have first, and last before the padding."""
    if len(ids) < FEWEST:
        return ()
    rows = [row[row != padding] if padding is not None else row for row in ids]
    rows = [row for row in rows if len(row)]
    found = [{int(row[end]) for row in rows} for end in (0, -1)]
    return tuple(next(iter(same)) for same in found if len(same) == 1)


def _aligned(ids: Tensor, labels: Any) -> bool:
    return isinstance(labels, Tensor) and labels.dim() > 1 and labels.shape[:2] == ids.shape
