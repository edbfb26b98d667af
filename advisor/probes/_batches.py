"""Parts and mixtures of captured batches, for probes that change some samples and look at others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from advisor.probes import Batch

FEW = 8  # samples: enough for a first, a last and others between them, and a fraction of a batch's cost


def tensors(batch: Batch) -> list[Tensor]:
    """All tensors of the inputs."""
    return [leaf for leaf in tree_leaves((batch.args, batch.kwargs)) if isinstance(leaf, Tensor)]


def has_rows(batch: Batch) -> bool:
    """Whether every input is a tensor with one row a sample, and none of several is a square of samples (edges)."""
    found = tensors(batch)
    rows = all(t.dim() and t.shape[0] == batch.size for t in found)
    return (
        bool(found) and rows and (len(found) == 1 or not any(t.dim() == 2 and t.shape[1] == batch.size for t in found))
    )


def few(batch: Batch) -> Batch:
    """The first few samples; for a batch that has rows. A target that was flattened has several rows a sample."""
    kept = with_rows(batch, lambda t: t[:FEW])
    target = batch.target
    rows = len(target) // batch.size if target is not None and target.dim() and len(target) % batch.size == 0 else 0
    return Batch(kept.args, kept.kwargs, target[: FEW * rows] if target is not None and rows else None)


def with_rows(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """The same batch with every input tensor changed; the target is left."""
    args, kwargs = tree_map(lambda leaf: change(leaf) if isinstance(leaf, Tensor) else leaf, (batch.args, batch.kwargs))
    return Batch(args, kwargs, batch.target)


def alike(batches: Sequence[Batch]) -> tuple[Batch, Batch] | None:
    """Two different batches whose inputs have the same shapes, the first few samples of each."""
    usable = [few(batch) for batch in batches if has_rows(batch)]
    for one in usable:
        for other in usable:
            if one is not other and one.size > 1 and _shapes(one) == _shapes(other):
                return one, other
    return None


def table(batches: Sequence[Batch]) -> tuple[Tensor, Tensor] | None:
    """(N, F) inputs and (N,) targets of all batches; None where one is not a tensor of numbers and a target a row."""
    rows, targets = [], []
    for batch in batches:
        inputs = tensors(batch)
        if batch.target is None or len(inputs) != 1 or not has_rows(batch) or not inputs[0].is_floating_point():
            return None
        if batch.target.numel() != batch.size:
            return None
        rows.append(inputs[0].reshape(batch.size, -1))
        targets.append(batch.target.reshape(-1))
    if not rows or len({row.shape[1] for row in rows}) != 1:
        return None
    return torch.cat(rows), torch.cat(targets)


def outputs(answer: Any) -> list[Tensor]:
    """The floating tensors with a dimension in what a model gave."""
    leaves = tree_leaves(dict(answer) if hasattr(answer, "keys") else answer)
    return [leaf.detach() for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.dim()]


def _shapes(batch: Batch) -> list[tuple[int, ...]]:
    return [tuple(t.shape) for t in tensors(batch)]
