"""Accuracy of a classifier that is trained by a distance, beside its R²: `val_accuracy`, one value an epoch.

Where every target of a regression's validation is a one-hot row, or every one is 0 or 1 and both occur, the highest
output, or the side of a half on which it lies, names the class. So the run can be compared with one whose loss is a
likelihood. All sums stay on the device until the epoch ends.
"""

from __future__ import annotations

import torch
from torch import Tensor

from advisor.instruments import Live, LossCall


class LabelScores:
    """(4,) sums over the validation of an epoch: right, counted, targets that are no labels, ones (NaN for rows)."""

    def __init__(self) -> None:
        self._sums: Tensor | None = None
        self._never = False

    def validation(self, live: Live, call: LossCall) -> None:
        if self._never or live.task != "regression" or call.output is None or call.target is None:
            return
        sums = _sums(call.output, call.target)
        if sums is None:
            self._never = True
            return
        self._sums = sums if self._sums is None else self._sums + sums

    def epoch_end(self, live: Live) -> None:
        if self._sums is None:
            return
        right, counted, others, ones = self._sums.tolist()
        self._sums = None
        if others or not counted or ones in (0, counted):  # no labels, or of one class
            self._never = True
            return
        live.emit("val_accuracy", "val", [right / counted])


def _sums(output: Tensor, target: Tensor) -> Tensor | None:
    """None for shapes in which no labels can be."""
    nothing = torch.full((), float("nan"), device=target.device)
    if output.shape == target.shape and output.dim() == 2 and output.shape[1] > 1:
        fine = ((target == 0) | (target == 1)).all(1) & (target.sum(1) == 1)
        right, ones = output.argmax(1) == target.argmax(1), nothing
    elif target.dim() and output.numel() == target.numel() == len(target):
        flat = target.reshape(-1)
        fine = (flat == 0) | (flat == 1)
        right, ones = (output.reshape(-1) > 0.5) == (flat > 0.5), (flat == 1).sum()
    else:
        return None
    counted = torch.full((), fine.numel(), device=fine.device)
    return torch.stack([number.double() for number in (right.sum(), counted, (~fine).sum(), ones)])


instrument = LabelScores
