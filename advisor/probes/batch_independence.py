"""Does the output for one sample depend on the other samples of its batch? It must not, in eval mode.

The other samples are replaced by those of another batch; what the model says of the first and of the last sample is
compared with what it said before. Four forward passes over eight samples.

Result, `probe.batch_independence`:

    first, last   largest change of the output for that sample, as a multiple of the outputs' standard deviation
    noise         the same for two passes over the same batch
    statistics    the model has layers that normalise by the batch in eval mode too: a dependence is their purpose
    samples       that the batch had

References:
Karpathy: A Recipe for Training Neural Networks, 2019, "use backprop to chart dependencies".
https://karpathy.github.io/2019/04/25/recipe/
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map

from advisor.probes import Batch, Subject, Weights
from advisor.probes._batches import alike, outputs
from advisor.record import Json

weights: Weights = "current"


def run(subject: Subject) -> dict[str, Json]:
    """See the module's docstring; empty where no two batches have inputs of the same shape, one row a sample."""
    pair = alike(subject.batches)
    if pair is None:
        return {}
    batch, other = pair
    before = _rows(subject, batch)
    if before is None:
        return {}
    again = _rows(subject, batch)
    spread = before.std().clamp_min(torch.finfo(before.dtype).tiny)

    def change(keep: int) -> float:
        mixed = Batch(*_mixture(batch, other, keep), batch.target)
        after = _rows(subject, mixed)
        return float((after[keep] - before[keep]).abs().max() / spread) if after is not None else 0.0

    return {
        "first": change(0),
        "last": change(batch.size - 1),
        "noise": float((again - before).abs().max() / spread) if again is not None else 0.0,
        "statistics": any(_by_batch(module) for module in subject.model.modules()),
        "samples": batch.size,
    }


def _mixture(batch: Batch, other: Batch, keep: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The inputs of `other`, with one sample of `batch` in its place."""

    def row(theirs: object, ours: object) -> object:
        if not isinstance(theirs, Tensor) or not isinstance(ours, Tensor):
            return theirs
        mixed = theirs.clone()
        mixed[keep] = ours[keep]
        return mixed

    args: tuple[Any, ...] = tree_map(row, other.args, batch.args)
    kwargs: dict[str, Any] = tree_map(row, other.kwargs, batch.kwargs)
    return args, kwargs


def _rows(subject: Subject, batch: Batch) -> Tensor | None:
    """(N, …) the outputs that have one row a sample, side by side; None where there is none, or one is not finite."""
    rows = [o for o in outputs(subject.answer(batch)) if o.shape[0] == batch.size and o.shape[1:2] != (batch.size,)]
    found = [o.reshape(batch.size, -1).double() for o in rows]  # (N, N) compares the samples on purpose
    joined = torch.cat(found, dim=1) if found else None
    return joined if joined is not None and bool(torch.isfinite(joined).all()) else None


def _by_batch(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and not module.track_running_stats
