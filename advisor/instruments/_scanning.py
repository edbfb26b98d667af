"""A loader's data set -> how many of its samples hold NaN or infinity: read once, after a loss was not a number.

The data set is read by index and not through the loader, so that the user's order, workers and generators stay where
they are. A loader with a `collate_fn` of its own may clean what the data set gives: there its batches are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, default_collate

from advisor.fence import untouched
from advisor.record import Json

SECONDS = 1.0  # that a scan may take: once a run, of a training that makes no sense any more
STRIDE = 64  # the data are passed through so many times, a 64th each: what the time allows is spread over all
MOST_COLUMNS = 10  # that are named: a longer list says no more
TARGETS = ("label", "labels", "target", "targets", "y")  # of a sample that is a dict


def scan(loader: DataLoader[Any]) -> dict[str, Json] | None:
    """What was looked at and how much of it is bad; None where the data cannot be read a second time.

    checked, of: samples (of a TensorDataset all of them); inputs, targets: samples with a value that is not finite;
    kind: "NaN" or "infinity"; columns: of inputs (N, F), which of the F are concerned
    """
    data = loader.dataset
    if isinstance(data, IterableDataset) or not isinstance(data, Sized):
        return None
    with untouched():
        if isinstance(data, TensorDataset) and loader.collate_fn is default_collate:
            return _result([(tuple(data.tensors), len(data))], len(data), batched=True)
        if loader.collate_fn is default_collate or loader.batch_size is None:
            return _result(((data[i], 1) for i in _in_time(len(data))), len(data), batched=False)
        size = loader.batch_size
        starts = (at * size for at in _in_time(max(1, len(data) // size)))
        collated = (loader.collate_fn([data[i] for i in range(at, min(at + size, len(data)))]) for at in starts)
        return _result(((batch, size) for batch in collated), len(data), batched=True)


def bad(tensor: Tensor) -> Tensor:
    """Which values are NaN or infinite. A mask of 0 and -inf, as attention takes it, has none."""
    wrong = ~torch.isfinite(tensor)
    mask = torch.isneginf(tensor) | (tensor == 0)
    return wrong & ~mask.all()


def _in_time(count: int) -> Iterator[int]:
    """All indices below `count`, as long as the time lasts, spread evenly."""
    began = perf_counter()
    for offset in range(min(STRIDE, count)):
        for index in range(offset, count, STRIDE):
            if perf_counter() - began > SECONDS:
                return
            yield index


def _result(parts: Any, of: int, *, batched: bool) -> dict[str, Json]:
    checked = inputs = targets = 0
    kinds: set[str] = set()
    columns: set[int] = set()
    for part, size in parts:
        checked += size
        first, second = _sides(part)
        for tensor in map(bad, first):
            rows = tensor.reshape(tensor.shape[0] if batched and tensor.dim() else 1, -1)
            inputs += int(rows.any(1).sum())
            if rows.any() and tensor.dim() == (2 if batched else 1):
                columns |= set(rows.any(0).nonzero()[:, 0].tolist())
        for tensor in map(bad, second):
            rows = tensor.reshape(tensor.shape[0] if batched and tensor.dim() else 1, -1)
            targets += int(rows.any(1).sum())
        kinds |= {"NaN" if bool(torch.isnan(t).any()) else "infinity" for t in (*first, *second) if bool(bad(t).any())}
    return {
        "checked": min(checked, of),
        "of": of,
        "inputs": inputs,
        "targets": targets,
        "kind": " and ".join(sorted(kinds)),
        "columns": [int(c) for c in sorted(columns)] if 0 < len(columns) <= MOST_COLUMNS else [],
    }


def _sides(sample: Any) -> tuple[list[Tensor], list[Tensor]]:
    """The floating tensors of the inputs and of the targets: the last element of a tuple, or a key that says so."""
    if isinstance(sample, dict):
        inputs = [v for k, v in sample.items() if k not in TARGETS]
        return _floats(inputs), _floats([v for k, v in sample.items() if k in TARGETS])
    if isinstance(sample, Sequence) and not isinstance(sample, str) and len(sample) > 1:
        return _floats(list(sample[:-1])), _floats([sample[-1]])
    return _floats([sample]), []


def _floats(tree: Any) -> list[Tensor]:
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        return [tensor for item in tree for tensor in _floats(item)]
    if isinstance(tree, np.ndarray | np.generic | float):
        tree = torch.as_tensor(tree)
    return [tree.detach()] if isinstance(tree, Tensor) and tree.is_floating_point() and tree.numel() else []
