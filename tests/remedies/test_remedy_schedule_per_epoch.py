"""schedule_per_epoch: the run of a loop that steps its scheduler after each epoch."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from loops import Program, program, run, same
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch.optim import SGD, Optimizer, lr_scheduler

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, schedule_per_epoch
from advisor.remedies.schedule_per_epoch import Parameters

PLAN = Plan.of("schedule_per_epoch")
SCHEDULERS: dict[str, Callable[[Optimizer], Any]] = {
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.5),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 4),
    "sequential": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=2), lr_scheduler.ExponentialLR(o, 0.5)], [2]
    ),
}


def stepped_twice() -> Session:
    model = mlp()
    session = session_of(model, table(), SGD(model.parameters(), lr=0.1))
    scheduler = lr_scheduler.ExponentialLR(session.optimizers[0], 0.9)
    session.schedulers = [scheduler, _Again(scheduler)]
    return session


class _Again:
    """Calls another scheduler a second time in each epoch."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler

    def step(self) -> None:
        self.scheduler.step()


FITTING = (stepped_twice,)


def by_batch(made: Program) -> None:
    for x, y in made.train:
        made.step(x, y)
        made.scheduler.step()
    made.validate()


def by_epoch(made: Program) -> None:
    for x, y in made.train:
        made.step(x, y)
    made.scheduler.step()
    made.validate()


def before_epoch(made: Program) -> None:
    made.scheduler.step()
    for x, y in made.train:
        made.step(x, y)
    made.validate()


@pytest.mark.parametrize("name", SCHEDULERS)
def test_it_is_the_loop_that_steps_once_an_epoch(name: str) -> None:
    """Every loss and weight, and what the scheduler knows, is that of the loop with the call after its epoch."""
    repaired = run(program(mlp, scheduler=SCHEDULERS[name]), by_batch, PLAN)
    expected = run(program(mlp, scheduler=SCHEDULERS[name]), by_epoch, watched=False)
    assert same(repaired, expected)
    assert repaired.scheduler.last_epoch == expected.scheduler.last_epoch
    assert repaired.optimizer.param_groups[0]["lr"] == expected.optimizer.param_groups[0]["lr"]
    assert not same(run(program(mlp, scheduler=SCHEDULERS[name]), by_batch), expected)


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("loop", [by_epoch, before_epoch])
def test_a_loop_that_does_it_right_is_unchanged(loop: Callable[[Program], None]) -> None:
    """Whether it steps before its epoch or after, with the very same rates at the very same time."""
    make = SCHEDULERS["exponential"]
    seen: list[list[float]] = []

    def watching(made: Program) -> None:
        loop(made)
        seen[-1].append(made.scheduler.get_last_lr()[0])

    seen.append([])
    repaired = run(program(mlp, scheduler=make), watching, PLAN)
    seen.append([])
    assert same(repaired, run(program(mlp, scheduler=make), watching, watched=False))
    assert seen[0] == seen[1]
    assert repaired.record.facts["remedy.schedule_per_epoch"] == {"swallowed": 0}


def test_without_the_loader_it_waits_for_the_end_of_the_epoch() -> None:
    """The length of an epoch is not known: the call is kept until it ends, with the same rates in training."""
    make = SCHEDULERS["exponential"]
    model = mlp()
    session = session_of(model, table(), SGD(model.parameters(), lr=1.0))
    session.train = None
    scheduler = make(session.optimizers[0])
    schedule_per_epoch.apply(session, Parameters())
    for _ in range(3):
        session.optimizers[0].step()
        session.step_actions[0](1)
        scheduler.step()
    assert scheduler.get_last_lr() == [1.0]
    session.epoch_actions[0](None)  # it asks the epoch nothing
    assert scheduler.get_last_lr() == [0.5]


def test_plateau_gets_the_last_value() -> None:
    """Of the losses that a loop gives it with every batch, the epoch's last counts."""
    model = mlp()
    session = session_of(model, table(), SGD(model.parameters(), lr=1.0))
    session.train = None
    scheduler = lr_scheduler.ReduceLROnPlateau(session.optimizers[0])
    schedule_per_epoch.apply(session, Parameters())
    for loss in (3.0, 1.0, 2.0):
        session.step_actions[0](1)
        scheduler.step(loss)
    session.epoch_actions[0](None)  # it asks the epoch nothing
    assert scheduler.best == 2.0


def test_a_loop_over_steps_is_refused_or_let_through() -> None:
    """Where it is known to count steps there are no epochs; where that shows later, every call acts again."""
    model = mlp()
    session = session_of(model, table(), SGD(model.parameters(), lr=1.0))
    scheduler = SCHEDULERS["exponential"](session.optimizers[0])
    session.step_based = True
    with pytest.raises(CannotApply, match="counts steps"):
        schedule_per_epoch.apply(session, Parameters())
    session.step_based = False
    schedule_per_epoch.apply(session, Parameters())
    session.optimizers[0].step()
    session.step_actions[0](1)
    scheduler.step()
    session.step_based = True
    scheduler.step()
    assert scheduler.get_last_lr() == [0.25]


def test_the_scheduler_stays_what_it_is() -> None:
    """Its state_dict has the same keys, copies and pickles are of its own class, and after the loop so is itself."""
    model = mlp()
    session = session_of(model, table(), SGD(model.parameters(), lr=1.0))
    scheduler = lr_scheduler.ExponentialLR(session.optimizers[0], 0.5)
    keys = list(scheduler.state_dict())
    schedule_per_epoch.apply(session, Parameters())
    assert list(scheduler.state_dict()) == keys
    assert isinstance(scheduler, lr_scheduler.ExponentialLR)
    assert type(copy.deepcopy(scheduler)) is lr_scheduler.ExponentialLR
    del session.optimizers[0].step  # what torch lays over it has never been picklable
    assert type(pickle.loads(pickle.dumps(scheduler))) is lr_scheduler.ExponentialLR  # noqa: S301  our own bytes
    for action in session.leave_actions:
        action()
    assert type(scheduler) is lr_scheduler.ExponentialLR


def test_candidates() -> None:
    """Where the rate collapsed in a loop over epochs, and these are not known to step the scheduler."""
    fired = diagnosis_of("learning_rate_collapsed")

    def count(**facts: Any) -> int:
        return len(schedule_per_epoch.candidates(fired, Evidence(record_with(**facts))))

    assert count() == 1
    assert count(scheduler_steps=26, scheduler="ExponentialLR") == 1
    assert count(scheduler_steps=None, scheduler=None) == 1
    assert count(scheduler_steps=1, scheduler="ExponentialLR") == 0
    assert count(scheduler_steps=26, scheduler="OneCycleLR") == 0
    assert schedule_per_epoch.candidates(diagnosis_of("overfitting"), Evidence(record_with())) == []
    windows = record_with()
    windows = replace(windows, info=windows.info.model_copy(update={"step_based": True}))
    assert schedule_per_epoch.candidates(fired, Evidence(windows)) == []
