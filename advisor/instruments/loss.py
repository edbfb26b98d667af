"""Loss per sampled step; validation and clean-train loss and score per epoch (accuracy, or R²).

The mean training loss of an epoch is kept by `watching` itself, because it needs every step.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from advisor.instruments import Live, LossCall
from advisor.record import Phase
from advisor.scores import added, score_from, score_sums


class Sums:
    """Weighted loss and score sums of one phase, on the device."""

    def __init__(self) -> None:
        self.loss: Tensor | None = None
        self.score: Tensor | None = None
        self.samples = 0

    def add(self, live: Live, call: LossCall) -> None:
        weighted = call.value.double() * call.size
        self.loss = weighted if self.loss is None else self.loss + weighted
        self.samples += call.size
        if live.task is not None and call.output is not None and call.target is not None:
            sums = score_sums(live.task, live.loss_name, call.output, call.target)
            if sums is not None:
                self.score = added(self.score, sums)

    def emit(self, live: Live, phase: Phase) -> None:
        if self.loss is not None and self.samples:
            live.emit(f"{phase}_loss", phase, self.loss / self.samples)
        if self.score is not None and live.task is not None:
            live.emit(f"{phase}_{score_name(live)}", phase, score_from(live.task, self.score))


class Loss:
    """step_loss, val_loss, clean_train_loss and the scores beside them."""

    def __init__(self) -> None:
        self._running, self._val = Sums(), Sums()

    def step_loss(self, live: Live, call: LossCall) -> None:
        live.emit("step_loss", "step", call.value)
        if live.task is None or call.output is None or call.target is None:
            return
        sums = score_sums(live.task, live.loss_name, call.output, call.target)
        if sums is not None:
            live.emit(f"step_{score_name(live)}", "step", score_from(live.task, sums))
            self._running.score = added(self._running.score, sums)

    def validation(self, live: Live, call: LossCall) -> None:
        self._val.add(live, call)

    def clean(self, live: Live, calls: Sequence[LossCall], _: Sequence[object]) -> None:
        sums = Sums()
        for call in calls:
            sums.add(live, call)
        sums.emit(live, "clean_train")
        live.fact("clean_train_samples", sums.samples)

    def epoch_end(self, live: Live) -> None:
        self._val.emit(live, "val")
        if self._val.samples:
            live.fact("val_samples", self._val.samples)
        self._running.emit(live, "train")
        self._running, self._val = Sums(), Sums()


def score_name(live: Live) -> str:
    return "r2" if live.task == "regression" else "accuracy"


instrument = Loss
