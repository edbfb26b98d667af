"""A batch as its loader gives it -> the same structure with the model's input changed and all else as it was."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


def find_input(batch: Any) -> Tensor | None:
    """The first tensor of numbers in a batch: floating, or bytes with the axes of images."""
    if isinstance(batch, Tensor):
        return batch if batch.is_floating_point() or (batch.dtype == torch.uint8 and batch.dim() == 4) else None
    parts = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, tuple | list) else ()
    return next((found for part in parts if (found := find_input(part)) is not None), None)


def with_input(batch: Any, like: Tensor, change: Callable[[Tensor], Tensor]) -> Any:
    """A shallow copy of a batch whose first tensor like `like` (type and axes but the first) is changed.

    The batch itself where it holds none.

    >>> with_input((torch.zeros(2, 3), torch.ones(2)), torch.zeros(1, 3), lambda x: x + 5)[0][0]
    tensor([5., 5., 5.])
    """
    if isinstance(batch, Tensor):
        same = batch.dtype == like.dtype and batch.shape[1:] == like.shape[1:] and batch.dim() == like.dim()
        return change(batch) if same else batch
    keys = list(batch) if isinstance(batch, Mapping) else range(len(batch)) if isinstance(batch, tuple | list) else ()
    for key in keys:
        changed = with_input(batch[key], like, change)
        if changed is not batch[key]:
            return _replaced(batch, key, changed)
    return batch


def _replaced(batch: Any, key: Any, value: Any) -> Any:
    if not isinstance(batch, tuple):
        batch = copy.copy(batch)
        batch[key] = value
        return batch
    items = [*batch[:key], value, *batch[key + 1 :]]
    return type(batch)(*items) if hasattr(batch, "_fields") else tuple(items)
