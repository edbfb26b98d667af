"""The ends of epochs: what is measured then, what a plan and a trial want, and the record's window.

In a loop that counts steps an "epoch" is a window of steps: it ends when the loop has validated, or when it is full.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter

import torch
from torch import Tensor, nn

from advisor import metric as metrics
from advisor.assignment import Assignment
from advisor.ending import Pruned
from advisor.errors import AdvisorError
from advisor.instruments import Live
from advisor.observing import Observer
from advisor.passes import Passes
from advisor.probing import Probing
from advisor.remedies import EpochEnd, Session

WINDOWS = 100  # of a loop that counts steps and says how many: enough points for a curve
WINDOW = 100  # steps, where it does not say


class Epochs:
    """Counts epochs and closes them."""

    def __init__(self, live: Live, session: Session, initial: nn.Module | None, orders: Assignment | None) -> None:
        self.live, self.session = live, session
        self.observer: Observer | None = None  # set once the plan is applied
        self.stop = False
        self._orders = orders
        self._probing = Probing(live, initial, orders.probes if orders else ())
        self._passes = Passes(live, session, orders.judging if orders else 0.0)
        self._items = 0
        self._steps_before = 0
        self._began = perf_counter()
        self._behind = 0
        self._fixed = False
        self._step_based: bool | None = None

    # ------------------------------------------------------------------------------------------------ for watching

    def begin(self) -> None:
        if self._items == 0:
            self._began = perf_counter()

    def end(self) -> None:
        """An item of the user's iterable is done."""
        observer, live = self._seen()
        self._items += 1
        steps = observer.steps - self._steps_before
        if self._step_based is None or (self._step_based and steps > self._window()):
            self._step_based = live.steps_in_epoch <= 1 and not observer.exhausted
            if self._step_based:
                self.session.step_based = True
                live.recorder.info = live.recorder.info.model_copy(update={"step_based": True})
        full = observer.validations.happened or observer.exhausted or steps >= self._window()
        if not self._step_based or full:
            self._close(last=False)

    def finish(self) -> None:
        """The loop is over, whatever ended it."""
        observer, live = self._seen()
        for action in self.session.finish_actions:
            self._guarded("end of the plan", action)
        observer.end_epoch()
        if live.steps_in_epoch or observer.validations.happened:
            self._close(last=True)
        elif live.epoch:
            live.epoch, live.step = live.epoch - 1, observer.steps
            if self._passes.cleaned_at != live.epoch:
                self._passes.clean(observer, last=True)
            self._guarded("independent evaluation", lambda: self._passes.judge(observer, last=True))
            live.epoch += 1
        live.epoch, live.step = max(0, live.epoch - 1), observer.steps  # what is measured now belongs to the last step
        self._probing.finish(observer)
        observer.tell("finish")

    # ----------------------------------------------------------------------------------------------------- closing

    def _close(self, *, last: bool) -> None:
        """Measure, act, and begin the next epoch, whatever the two said."""
        observer, live = self._seen()
        upcoming, live.step = live.step, observer.steps
        try:
            self._guarded("end of an epoch", lambda: self._measure(last=last))
            if not last:
                self._act()
            live.recorder.flush()
        finally:
            live.step = upcoming
            live.epoch += 1
            live.steps_in_epoch, live.samples = 0, 0
            live.seconds.clear()
            observer.validations.happened = observer.exhausted = False
            self._steps_before = observer.steps
            self._began = perf_counter()

    def _measure(self, *, last: bool) -> None:
        observer, live = self._seen()
        observer.end_epoch()
        live.seconds["total"] = perf_counter() - self._began
        losses = live.losses = observer.losses.take()
        if losses is not None:
            live.emit("train_loss", "train", losses.mean())
            if losses.numel() > 1:
                live.emit("train_loss_std", "train", losses.std())
        if live.steps_in_epoch > 0:
            observer.losses.bridge.settle()
            self._guarded("own validation", lambda: self._passes.validate(observer))
            if live.epoch == 0 or not self._fixed:
                observer.capture.fix()
                self._fixed = True
                self._probing.first_epoch(observer)
            self._passes.clean(observer, last=last)
        observer.tell("epoch_end")
        live.recorder.settle()
        if live.steps_in_epoch > 0:
            self._guarded("independent evaluation", lambda: self._passes.judge(observer, last=last))
        self._check_finite(losses)

    def _act(self) -> None:
        """The plan's remedies and the trial's rival, with this epoch's score."""
        live = self.live
        rival = self._orders.rival if self._orders else None
        if not self.session.epoch_actions and rival is None:
            return
        end = EpochEnd(live.epoch, self._score(None))
        for action in self.session.epoch_actions:
            action(end)
        self.stop = end.stopped
        if rival is None:
            return
        self._behind = rival.behind(live.epoch, self._score(rival.metric), self._behind)
        if self._behind >= rival.patience or self._broke():
            live.recorder.flush(force=True)
            raise Pruned(0)

    def _broke(self) -> bool:
        """Whether the run has failed, whatever its later epochs bring."""
        recorder = self.live.recorder
        if "first_non_finite" not in recorder.facts:
            return False
        found = {name: recorder.buffers.get(name) for name in metrics.LOSSES}
        ends = {name: buffer.rows[-1] for name, buffer in found.items() if buffer is not None and buffer.rows}
        return metrics.all_non_finite({name: (epoch, float(values[0])) for name, (_, epoch, values) in ends.items()})

    def _score(self, name: str | None) -> float | None:
        """This epoch's value of a metric, higher is better: the user's, else the validation loss, else the score."""
        buffers, info = self.live.recorder.buffers, self.live.recorder.info
        try:
            named = info if name is None else None
            chosen = metrics.choose([n for n, b in buffers.items() if b.rows], named, prefer=name or "val_loss")
        except AdvisorError:
            return None
        rows = buffers[chosen.name].rows
        if not rows or rows[-1][1] != self.live.epoch:
            return None
        return chosen.sign * float(rows[-1][2][0])

    def _check_finite(self, losses: Tensor | None) -> None:
        buffer = self.live.recorder.buffers.get("train_loss")
        if losses is None or buffer is None or not buffer.rows or math.isfinite(buffer.rows[-1][2][0]):
            return
        if "first_non_finite" not in self.live.recorder.facts:
            bad = int((~torch.isfinite(losses)).nonzero()[0])
            per_step = max(1, round(len(losses) / max(1, self.live.steps_in_epoch)))
            step = self._steps_before + bad // per_step + 1
            self.live.fact("first_non_finite", {"where": "loss", "step": step, "epoch": self.live.epoch})

    # ------------------------------------------------------------------------------------------------------- inside

    def _seen(self) -> tuple[Observer, Live]:
        assert self.observer is not None  # set by watching before the first epoch
        return self.observer, self.live

    def _guarded(self, where: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001  the fence
            self.live.recorder.problem(where, error)

    def _window(self) -> int:
        """Steps of a window in a loop that counts steps."""
        planned = self.live.recorder.info.epochs
        return max(1, planned // WINDOWS) if planned else WINDOW
