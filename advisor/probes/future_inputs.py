"""Does a sequence model see what it has to predict? The outputs before a position, with the inputs after it replaced.

The inputs from the middle on are replaced by those of another sample; what the model says of the positions before is
compared. Beside it: whether the targets are the inputs, one position later. Two forward passes over eight samples.

Result, `probe.future_inputs`:

    depends   largest change of an output before the middle, as a multiple of the outputs' standard deviation
    shifted   share of positions whose target is the input of the next position
    same      share of positions whose target is the input of the same position
    positions of a sequence

References:
Vaswani et al.: Attention Is All You Need, 2017, section 3.1: masking keeps the decoder from subsequent positions.
arXiv 1706.03762.
"""

from __future__ import annotations

import torch
from torch import Tensor

from advisor.probes import Batch, Subject, Weights
from advisor.probes._batches import few, has_rows, outputs, tensors, with_rows
from advisor.record import Json

weights: Weights = "current"

FEWEST = 4  # positions: two before the middle and two after it


def run(subject: Subject) -> dict[str, Json]:
    """See the module's docstring; empty where the targets are not one (or one vector) a position."""
    batch = next((few(b) for b in subject.batches if has_rows(b)), None)
    targets = _by_sample(batch) if batch is not None else None
    if batch is None or targets is None:
        return {}
    positions = targets.shape[1]
    middle = positions // 2

    def later(inputs: Tensor) -> Tensor:
        if inputs.dim() < 2 or inputs.shape[1] != positions:
            return inputs
        return torch.cat([inputs[:, :middle], inputs.roll(1, dims=0)[:, middle:]], dim=1)

    before, after = (_by_position(subject, b, positions) for b in (batch, with_rows(batch, later)))
    if before is None or after is None or before.shape != after.shape:
        return {}
    spread = before.std().clamp_min(torch.finfo(before.dtype).tiny)
    inputs = next(t for t in tensors(batch) if t.dim() >= 2 and t.shape[1] == positions)
    return {
        "depends": float((after - before)[:, :middle].abs().max() / spread),
        "shifted": _share(inputs[:, 1:], targets[:, :-1]),
        "same": _share(inputs, targets),
        "positions": positions,
    }


def _by_sample(batch: Batch) -> Tensor | None:
    """(N, T, …) the targets, flattened by the loop or not; None where the inputs are no sequences of their length."""
    target = batch.target
    lengths = {t.shape[1] for t in tensors(batch) if t.dim() in (2, 3)}
    if target is None or batch.size < 2 or len(target) % batch.size:
        return None
    if len(target) != batch.size:
        target = target.reshape(batch.size, -1, *target.shape[1:])
    return target if target.dim() >= 2 and target.shape[1] >= FEWEST and target.shape[1] in lengths else None


def _by_position(subject: Subject, batch: Batch, positions: int) -> Tensor | None:
    """(N, T, …) of the first output that has positions: its second dimension, or its third after the classes."""
    for output in outputs(subject.answer(batch)):
        if output.shape[0] != batch.size or output.dim() < 2:
            continue
        if output.shape[1] == positions:
            return output.double()
        if output.dim() == 3 and output.shape[2] == positions:
            return output.transpose(1, 2).double()
    return None


def _share(inputs: Tensor, targets: Tensor) -> float:
    """How many of the targets that count (>= 0, where they are integers) equal the inputs beside them."""
    if inputs.shape != targets.shape:
        return 0.0
    counted = torch.ones_like(targets, dtype=torch.bool) if targets.is_floating_point() else targets >= 0
    return float(((inputs == targets) & counted).sum() / counted.sum().clamp_min(1))
