"""Steps the learning rate scheduler once an epoch, however often the loop calls it.

## What it does
Of the calls of `scheduler.step()` within an epoch one is carried out, with the arguments of the last: right away where
the epoch's last optimizer step is done, as the length of the training loader tells, else when the epoch ends. A call
before the epoch's first step is carried out at once. A loop that steps its scheduler once an epoch trains as before.
The scheduler is found even where `watch` was not told of it, and is itself again after the loop.

## When it helps
A decay that is meant for epochs and stepped with every batch: the rate is gone within the first epochs.

## When it hurts
A schedule that is made for batches (one cycle, a warm-up counted in steps, a cosine over all steps) hardly moves.

## Cost
None.

## References
PyTorch, `torch.optim`, How to adjust learning rate: a scheduler is stepped after the epoch's training loop.
https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
"""

from __future__ import annotations

from typing import Any

from torch.optim.lr_scheduler import LRScheduler

from advisor import tracing
from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.record import Record
from advisor.remedies import Epoch, Session
from advisor.remedies import Parameters as _Parameters
from advisor.remedies._rates import attached
from advisor.remedies._scheduler_steps import Arguments, intercept

CHANGES = frozenset({"schedule"})
FOR_BATCHES = frozenset({"OneCycleLR", "CyclicLR"})  # by torch's own documentation, stepped after every batch


class Parameters(_Parameters):
    """It has none."""


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The one choice where the rate collapsed; none in a loop without epochs, or whose epochs step the scheduler."""
    if evidence.info.step_based or not any(f.rule == "learning_rate_collapsed" for f in diagnosis.findings):
        return []
    try:
        if evidence.fact("scheduler_steps") in (0, 1) or evidence.fact("scheduler") in FOR_BATCHES:
            return []
    except Missing:
        pass
    return [Parameters()]


def apply(session: Session, parameters: Parameters) -> None:  # noqa: ARG001  it has none
    """Raises: CannotApply where there is no scheduler, or no epochs."""
    found = [scheduler for scheduler in attached(session) if isinstance(scheduler, LRScheduler)]
    if not found:
        raise CannotApply("no scheduler of torch's acts on the optimizer", context="schedule_per_epoch")
    if session.step_based:
        raise CannotApply("the loop counts steps and has no epochs", context="schedule_per_epoch")
    inner = {id(part) for scheduler in found for part in getattr(scheduler, "_schedulers", ())}  # of a SequentialLR
    gates = [Gate(session, scheduler) for scheduler in found if id(scheduler) not in inner]
    for gate in gates:
        session.on_step(gate.on_step)
        session.on_epoch(gate.on_epoch)
        session.on_leave(gate.open)
    session.on_finish(lambda: session.note("schedule_per_epoch", {"swallowed": sum(gate.swallowed for gate in gates)}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  it has none
    """Whether a call was left out."""
    note = record.facts.get("remedy.schedule_per_epoch")
    return isinstance(note, dict) and bool(note.get("swallowed"))


class Gate:
    """Between the loop's calls of `scheduler.step` and the scheduler."""

    def __init__(self, session: Session, scheduler: LRScheduler) -> None:
        self.session, self.scheduler = session, scheduler
        self.own: type[Any] = type(scheduler)
        self.steps = 0  # of the optimizers, in this epoch
        self.acted = False  # in this epoch
        self.waiting: Arguments | None = None
        self.swallowed = 0
        self.undo = intercept(scheduler, self.called)

    def called(self, arguments: Arguments) -> None:
        tracing.called("scheduler.step")
        if self.session.step_based:  # as it turned out
            self._act()
            self._step(arguments)
            return
        self.swallowed += self.acted or self.waiting is not None
        if not self.acted:
            self.waiting = arguments
            if not self.steps or self.steps >= (_length(self.session) or self.steps + 1):
                self._act()

    def on_step(self, _: int) -> None:
        self.steps += 1

    def on_epoch(self, _: Epoch) -> None:
        self._act()
        self.steps, self.acted = 0, False

    def open(self) -> None:
        self._act()
        self.undo()

    def _act(self) -> None:
        if self.waiting is not None:
            arguments, self.waiting, self.acted = self.waiting, None, True
            self._step(arguments)

    def _step(self, arguments: Arguments) -> None:
        args, kwargs = arguments
        self.own.step(self.scheduler, *args, **kwargs)


def _length(session: Session) -> int | None:
    """Batches of an epoch; None where that is not known."""
    try:
        return len(session.train) if session.train is not None else None
    except TypeError:  # an IterableDataset without a length
        return None
