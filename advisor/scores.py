"""Outputs and targets of batches, added up, and what score they come to: accuracy, or R²."""

from __future__ import annotations

import torch
from torch import Tensor

from advisor.losses import PROBABILITIES
from advisor.record import Task

POOLED = 4  # the first sums of a regression, over all elements; a sum a column follows
MOST_COLUMNS = 4096  # 32 kB of sums; targets with more columns are pooled


def score_sums(task: Task, name: str, output: Tensor, target: Tensor) -> Tensor | None:
    """What has to be added up over batches for a score, on the device; None where the shapes do not allow one.

    classification: (2,) [right, counted];  regression: (4,) [n, sum y, sum y², sum (y - ŷ)²] over all elements, and for
    targets of shape (N, K) as many more, (4 + K,) with the sum of y in each column
    """
    if task == "multiclass":
        if output.dim() < 2:  # the loss of another task beside it
            return None
        if target.is_floating_point():  # class probabilities
            if target.shape != output.shape:
                return None
            target = target.argmax(1)
        predicted = output.argmax(1)
        if predicted.shape != target.shape:
            if output.dim() != target.dim() + 1 or output.shape[:-1] != target.shape:
                return None
            predicted = output.argmax(-1)
        counted = target >= 0  # ignore_index is negative by default
        return torch.stack([((predicted == target) & counted).sum(), counted.sum()]).double()
    if output.numel() != target.numel() or not output.numel():
        return None
    columns = target.double().sum(0) if target.dim() == 2 and 1 < target.shape[1] <= MOST_COLUMNS else None
    output, target = output.reshape(-1).double(), target.reshape(-1).double()
    if task == "binary":
        right = ((output > (0.5 if name in PROBABILITIES else 0.0)) == (target > 0.5)).sum()
        return torch.stack([right, torch.full_like(right, output.numel())]).double()
    n = torch.full((), float(output.numel()), dtype=torch.double, device=output.device)
    pooled = torch.stack([n, target.sum(), (target**2).sum(), ((target - output) ** 2).sum()])
    return pooled if columns is None else torch.cat([pooled, columns])


def added(sums: Tensor | None, more: Tensor) -> Tensor:
    """Both together; where the batches do not have the same columns, such as series of any length, without these."""
    if sums is None:
        return more
    if len(sums) != len(more):
        sums, more = sums[:POOLED], more[:POOLED]
    return sums + more


def score_from(task: Task, sums: Tensor) -> Tensor:
    """Accuracy in [0, 1], or R² = 1 - residual / variance (NaN where the targets do not vary), on the device.

    The variance is that within the columns: to know the mean of each is no skill, however far apart they are. A single
    row has none, and is compared with the mean of all its elements.
    """
    if task != "regression":
        return sums[0] / sums[1]
    n, total, squares, residual = sums[:POOLED].unbind()
    pooled = squares - total**2 / n
    columns = sums[POOLED:]
    if not len(columns):
        return 1 - residual / pooled
    rows = n / len(columns)
    return 1 - residual / torch.where(rows > 1, squares - (columns**2).sum() / rows, pooled)
