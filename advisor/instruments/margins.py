"""Margins of the same training samples, pass after pass -> how many labels the model contradicts with conviction.

The margin of a sample is the score of its label minus the highest other score; its mean over the passes is the area
under the margin (Pleiss et al., 2020). Each pass is scaled by its median absolute margin, so that late passes, which
have long logits, do not outweigh the early ones, in which the model had not yet learnt its samples by heart.

    contradicted   series a clean pass: share of samples whose margin lies below -`CONVICTION`, in the mean of the
                   passes so far and in this one
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from advisor.instruments import Live, LossCall
from advisor.losses import PROBABILITIES

CONVICTION = 0.5  # of the median absolute margin: a hard sample lies near 0, a mislabelled one as far on the other side


class Margins:
    """A running sum of scaled margins, (n,) for the n samples of the clean pass."""

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._passes = 0

    def clean(self, live: Live, calls: Sequence[LossCall], _: Sequence[object]) -> None:
        parts = [margins(live, call) for call in calls]
        if not parts or any(part is None for part in parts):
            return
        now = torch.cat([part for part in parts if part is not None])
        scaled = now / now.abs().median().clamp(min=1e-12)  # 1e-12: all scores are equal
        if self._sum is None or self._sum.shape != scaled.shape:
            self._sum, self._passes = torch.zeros_like(scaled), 0
        self._sum = self._sum + scaled
        self._passes += 1
        against = self._sum / self._passes < -CONVICTION
        live.emit("contradicted", "clean_train", (against & (scaled < -CONVICTION)).float().mean())


def margins(live: Live, call: LossCall) -> Tensor | None:
    """(N,) of a classification with one label a sample; None for any other."""
    output, target = call.output, call.target
    if output is None or target is None:
        return None
    if live.task == "multiclass" and target.dim() == 1 and not target.is_floating_point() and output.dim() == 2:
        labels = target.clamp(0, output.shape[1] - 1)[:, None]
        own = output.gather(1, labels)[:, 0]
        other = output.scatter(1, labels, float("-inf")).amax(1)
        return (own - other).float()
    if live.task == "binary" and output.numel() == target.numel() == target.shape[0]:
        score = output.reshape(-1).float()
        if live.loss_name in PROBABILITIES:
            score = torch.logit(score, eps=1e-7)  # float32 tells 1 - 1e-7 from 1
        return torch.where(target.reshape(-1) > 0.5, score, -score)
    return None


instrument = Margins
