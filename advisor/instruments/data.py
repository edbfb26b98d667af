"""Input, target and prediction statistics on sampled steps; what guessing would score on the validation targets."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from advisor.instruments import Live, LossCall

MOST_CLASSES = 10_000  # a histogram of more would be longer than a window's other numbers together


class Data:
    """Means and deviations of what enters the loss, per epoch; the share of the largest validation class."""

    def __init__(self) -> None:
        self._seen: dict[str, list[Tensor]] = {}
        self._counts: Tensor | None = None
        self._batch = 0

    def step_loss(self, live: Live, call: LossCall) -> None:
        self._batch = max(self._batch, call.size)
        for name, tensor in (("target", call.target), ("prediction", call.output)):
            if tensor is not None and tensor.numel() > 1:
                values = tensor.detach().float()
                self._seen.setdefault(f"{name}_mean", []).append(values.mean())
                self._seen.setdefault(f"{name}_std", []).append(values.std())
        if live.task == "multiclass" and call.output is not None and call.output.dim() > 1:
            live.fact("classes", int(call.output.shape[1]))
        elif live.task == "binary":
            live.fact("classes", 2)

    def validation(self, live: Live, call: LossCall) -> None:
        if call.target is None or live.task not in ("multiclass", "binary"):
            return
        target = call.target.reshape(-1)
        labels = (target > 0.5).long() if target.is_floating_point() else target[target >= 0].long()
        classes = live.recorder.facts.get("classes") if live.task == "multiclass" else 2
        if isinstance(classes, int) and 1 < classes <= MOST_CLASSES:
            counts = torch.bincount(labels.clamp(0, classes - 1), minlength=classes)
            self._counts = counts if self._counts is None else self._counts + counts

    def epoch_end(self, live: Live) -> None:
        for name, values in self._seen.items():
            live.emit(name, "train", torch.stack(values).mean())
        self._seen.clear()
        if self._batch:
            live.fact("batch_size", self._batch)
        live.fact("steps_per_epoch", live.steps_in_epoch)
        live.fact("train_samples", live.samples or None)
        if live.task == "regression":
            live.fact("chance_score", 0.0)
        elif self._counts is not None and "chance_score" not in live.recorder.facts:
            counts = self._counts.cpu().tolist()  # once a run
            share = max(counts) / max(1, sum(counts))
            live.fact("chance_score", share if math.isfinite(share) else None)
        self._counts = None


instrument = Data
