"""learning_rate_schedule: the rate at every step of a run, against torch's own schedulers and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy

import pytest
import torch
from sessions import diagnosis_of, drive, mlp, record_of, record_with, session_of, table, with_validation
from torch.optim import SGD, Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, apply_plan
from advisor.remedies import learning_rate_schedule as schedule
from advisor.remedies.learning_rate_schedule import Kind, Parameters, curve


def rates(session: Session, *, steps: int) -> list[float]:
    """The rate with which each step of a run was made."""
    seen = [session.optimizers[0].param_groups[0]["lr"]]
    drive(session, each_step=lambda: seen.append(session.optimizers[0].param_groups[0]["lr"]))
    assert len(seen) == steps + 1
    return seen[:-1]


def torchs(scheduler: Callable[[Optimizer], LRScheduler], *, steps: int) -> list[float]:
    """The rates of a scheduler of torch's that is stepped after each batch, from 0.1."""
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    stepper, seen = scheduler(optimizer), []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        stepper.step()
    return seen


def test_cosine_is_torchs() -> None:
    """Stepped after every batch, the rate is that of CosineAnnealingLR over all steps."""
    session = session_of(mlp(), table(), epochs=4)
    schedule.apply(session, Parameters(kind="cosine"))
    expected = torchs(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 12), steps=12)
    assert rates(session, steps=12) == pytest.approx(expected)


def test_step_divides_by_ten_twice() -> None:
    """1 for half of the run, 0.1 for a quarter, 0.01 for the last."""
    session = session_of(mlp(), table(), epochs=4)
    schedule.apply(session, Parameters(kind="step"))
    assert rates(session, steps=12) == pytest.approx([0.1] * 6 + [0.01] * 3 + [0.001] * 3)


def test_one_cycle_peaks_at_the_users_rate() -> None:
    """From 1/25 of the rate to the rate at 30 %, and down to torch's final_div_factor at the end."""
    at = [curve("one_cycle", progress, 0.05) for progress in (0.0, 0.15, 0.3, 0.65, 1.0)]
    assert at == pytest.approx([1 / 25, 0.52, 1.0, 0.5, 4e-6], rel=1e-5)


def test_warm_up_is_linear() -> None:
    """Halfway through the warm-up the rate is half of the user's; it never begins at 0."""
    at = [curve("warmup_cosine", progress, 0.1) for progress in (0.0, 0.05, 0.1, 0.55, 1.0)]
    assert at == pytest.approx([1 / 25, 0.5, 1.0, 0.5, 0.0])


@pytest.mark.parametrize("kind", ["cosine", "warmup_cosine", "one_cycle", "step", "exponential", "warmup"])
def test_curve_stays_between_nothing_and_the_users_rate(kind: Kind) -> None:
    """No curve goes above the rate that the user set, or below 0."""
    values = [curve(kind, i / 100, 0.05) for i in range(101)]
    assert min(values) >= 0
    assert max(values) <= 1
    assert not any(math.isnan(value) for value in values)


def test_exponential_is_torchs() -> None:
    """Stepped after every batch, the rate is that of ExponentialLR that ends at a hundredth."""
    session = session_of(mlp(), table(), epochs=4)
    schedule.apply(session, Parameters(kind="exponential"))
    expected = torchs(lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.01 ** (1 / 12)), steps=12)
    assert rates(session, steps=12) == pytest.approx(expected)


def test_plateau_is_torchs() -> None:
    """The rate of each epoch is that of ReduceLROnPlateau whose patience is a tenth of 20 epochs."""
    scores = [0.1, 0.5, 0.4, 0.4, 0.6, 0.6, 0.5, 0.5, 0.7, 0.6, 0.6, 0.6, 0.6, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8]
    session = session_of(mlp(), table(), epochs=20)
    schedule.apply(session, Parameters(kind="plateau"))
    seen: list[float] = []
    session.on_epoch(lambda _: seen.append(session.optimizers[0].param_groups[0]["lr"]))
    drive(session, scores)
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    # torch waits for more than `patience` bad epochs
    torchs = lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", patience=1, threshold=0.0)
    expected = []
    optimizer.step()
    for score in scores:
        torchs.step(score)
        expected.append(optimizer.param_groups[0]["lr"])
    assert seen == pytest.approx(expected)
    assert session.decides_by_score


def test_warm_up_alone_stays_up() -> None:
    """After its rise the rate is the user's to the end."""
    assert [curve("warmup", p, 0.1) for p in (0.05, 0.1, 0.5, 1.0)] == pytest.approx([0.5, 1.0, 1.0, 1.0])


def test_accumulation_is_learnt_after_an_epoch() -> None:
    """Where a step takes two batches, the second epoch starts at the right share of the run all the same."""
    session = session_of(mlp(), table(32), epochs=4)  # four batches an epoch, here two steps
    schedule.apply(session, Parameters(kind="cosine"))
    for step in (1, 2):
        session.step_actions[0](step)
    session.epoch_actions[0](None)  # it asks the epoch nothing
    lr = session.optimizers[0].param_groups[0]
    assert lr["lr"] == pytest.approx(0.1 * (1 + math.cos(math.pi / 4)) / 2)
    session.step_actions[0](3)
    assert lr["lr"] == pytest.approx(0.1 * (1 + math.cos(math.pi * 3 / 8)) / 2)


def test_follows_a_change_of_length() -> None:
    """more_epochs later in the plan stretches the curve: the last step is still at its end."""
    session = session_of(mlp(), table(), epochs=4)
    apply_plan(Plan.of("learning_rate_schedule", kind="step") + Plan.of("more_epochs", factor=2.0), session)
    assert rates(session, steps=24) == pytest.approx([0.1] * 12 + [0.01] * 6 + [0.001] * 6)


def test_scaled_by_learning_rate() -> None:
    """learning_rate later in the plan scales the whole curve."""
    session = session_of(mlp(), table(), epochs=4)
    apply_plan(Plan.of("learning_rate_schedule", kind="step") + Plan.of("learning_rate", lr=1.0), session)
    assert rates(session, steps=12) == pytest.approx([1.0] * 6 + [0.1] * 3 + [0.01] * 3)


def test_loop_that_counts_steps() -> None:
    """In a loop over steps the planned length is that of all steps."""
    session = session_of(mlp(), table(), epochs=10, step_based=True)
    schedule.apply(session, Parameters(kind="step"))
    session.step_actions[0](5)
    assert session.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.01)


def test_without_a_loader_only_falling_curves() -> None:
    """Epochs alone are enough to fall; to rise, the number of steps must be known."""
    session = session_of(mlp(), table(), epochs=4)
    session.train = None
    with pytest.raises(CannotApply, match="steps in an epoch is not known; pass train="):
        schedule.apply(session, Parameters(kind="one_cycle"))
    schedule.apply(session, Parameters(kind="cosine"))
    session.step_actions[0](7)
    assert session.optimizers[0].param_groups[0]["lr"] == 0.1
    session.epoch_actions[0](None)  # it asks the epoch nothing
    assert session.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1 * (1 + math.cos(math.pi / 4)) / 2)


def test_scheduler_that_is_there_already() -> None:
    """A scheduler that the session was not told of is found, and refused by its class."""
    session = session_of(mlp(), table())
    scheduler = lr_scheduler.StepLR(session.optimizers[0], 3)
    with pytest.raises(CannotApply, match=r"has a scheduler \(StepLR\)"):
        schedule.apply(session, Parameters())
    assert scheduler.last_epoch == 0


def test_a_schedule_in_the_place_of_one_that_is_too_short() -> None:
    """PolynomialLR over a third of the run moves nothing any more; the rates are those of a cosine from its peak."""
    session = session_of(mlp(), table(), epochs=4)
    short = lr_scheduler.PolynomialLR(session.optimizers[0], total_iters=4)
    schedule.apply(session, Parameters(kind="cosine", instead=True))
    seen: list[float] = []

    def end_of_step() -> None:
        short.step()
        seen.append(session.optimizers[0].param_groups[0]["lr"])

    drive(session, each_step=end_of_step)
    expected = torchs(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 12), steps=13)
    assert seen == pytest.approx([*expected[1:12], 0.0])
    assert short.last_epoch == 0


def test_the_schedulers_own_class_comes_back() -> None:
    """After the loop it steps as before, and a copy of it never was another."""
    session = session_of(mlp(), table(), epochs=4)
    short = lr_scheduler.StepLR(session.optimizers[0], 1)
    schedule.apply(session, Parameters(instead=True))
    assert type(short) is not lr_scheduler.StepLR
    assert type(copy(short)) is lr_scheduler.StepLR
    session.leave()
    assert type(short) is lr_scheduler.StepLR


def test_one_cycle_is_replaced_from_its_peak() -> None:
    """Its first rate is a 25th of the rate that it is built around."""
    session = session_of(mlp(), table(), epochs=4)
    short = lr_scheduler.OneCycleLR(session.optimizers[0], max_lr=0.5, total_steps=3)
    schedule.apply(session, Parameters(kind="cosine", instead=True))
    assert session.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.5)
    assert short.last_epoch == 0


def test_endless_loop() -> None:
    """A loop without an end is refused."""
    with pytest.raises(CannotApply, match="endless"):
        schedule.apply(session_of(mlp(), table(), epochs=None), Parameters())


def test_constant_rate_is_no_effect() -> None:
    """A recorded rate that never moved shows no effect."""
    session = session_of(mlp(), table())
    schedule.apply(session, Parameters())
    assert not schedule.took_effect(record_of(session, lr=[0.1, 0.1]), Parameters())


def test_candidates() -> None:
    """None beside a scheduler, for a short run, or for an endless one; rising first where training is unstable."""
    plain = Evidence(record_with(scheduler=None))
    assert [c.kind for c in schedule.candidates(diagnosis_of(), plain)] == ["cosine", "one_cycle"]
    validated = Evidence(with_validation(record_with(scheduler=None)))
    assert [c.kind for c in schedule.candidates(diagnosis_of(), validated)] == ["cosine", "one_cycle", "plateau"]
    assert schedule.candidates(diagnosis_of("unstable_loss"), plain)[0].kind == "warmup_cosine"
    assert schedule.candidates(diagnosis_of("too_few_epochs"), plain) == []
    stepped = Evidence(record_with(scheduler="StepLR"))
    assert schedule.candidates(diagnosis_of(), stepped) == []
    replaced = [Parameters(kind="cosine", instead=True)]
    assert schedule.candidates(diagnosis_of("learning_rate_collapsed"), stepped) == replaced
    assert schedule.candidates(diagnosis_of(), Evidence(record_with(epochs=None))) == []
