"""learning_rate: every place where a rate is kept is scaled, schedules keep their shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sessions import diagnosis_of, mlp, record_of, record_with, session_of, table
from torch.optim import SGD, Optimizer, lr_scheduler

from advisor.errors import CannotApply, PlanError
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import check_plan, learning_rate
from advisor.remedies.learning_rate import Parameters

SCHEDULERS: dict[str, Callable[[Optimizer], Any]] = {
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 10, eta_min=0.01),
    "restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4, eta_min=0.01),
    "step": lambda o: lr_scheduler.StepLR(o, 3),
    "milestones": lambda o: lr_scheduler.MultiStepLR(o, [3, 6]),
    "lambda": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.9**epoch),
    "linear": lambda o: lr_scheduler.LinearLR(o, 0.1, total_iters=5),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "polynomial": lambda o: lr_scheduler.PolynomialLR(o, 10),
    "one_cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.5, total_steps=12),
    "cyclic": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=3),
    "sequential": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=3), lr_scheduler.CosineAnnealingLR(o, 7)], [3]
    ),
}


def rates(optimizer: Optimizer, scheduler: Any) -> list[float]:
    found = []
    for _ in range(10):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedule_keeps_its_shape(name: str, told: bool) -> None:
    """Every rate of a scheduled run is ten times what it was, also where nobody named the scheduler."""
    model = mlp()
    plain = SGD(model.parameters(), lr=0.05, momentum=0.9)
    expected = rates(plain, SCHEDULERS[name](plain))
    session = session_of(model, table(), SGD(model.parameters(), lr=0.05, momentum=0.9))
    scheduler = SCHEDULERS[name](session.optimizers[0])
    session.schedulers = [scheduler] if told else []
    learning_rate.apply(session, Parameters(factor=10.0))
    assert rates(session.optimizers[0], scheduler) == pytest.approx([10 * rate for rate in expected])


def test_plateau_floor_is_scaled() -> None:
    """ReduceLROnPlateau's floor moves with the rate."""
    session = session_of(mlp(), table())
    scheduler = lr_scheduler.ReduceLROnPlateau(session.optimizers[0], min_lr=0.01)
    learning_rate.apply(session, Parameters(factor=0.1))
    assert scheduler.min_lrs == [pytest.approx(0.001)]


def test_lr_keeps_the_proportions_of_groups() -> None:
    """lr is what the fastest group gets; one that had a tenth of it still has a tenth."""
    model = mlp()
    optimizer = SGD([{"params": model[0].parameters(), "lr": 0.02}, {"params": model[2].parameters()}], lr=0.2)
    learning_rate.apply(session_of(model, table(), optimizer), Parameters(lr=0.01))
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.001, 0.01])


def test_same_rate_is_refused() -> None:
    """The rate in use already is nothing to change."""
    with pytest.raises(CannotApply, match=r"0\.1 already"):
        learning_rate.apply(session_of(mlp(), table()), Parameters(lr=0.1))


def test_factor_and_lr_exclude_each_other() -> None:
    """A plan with both is an error; with neither the factor is 0.1."""
    with pytest.raises(PlanError, match="exclude each other"):
        check_plan(Plan.of("learning_rate", factor=2.0, lr=0.1))
    with pytest.raises(PlanError, match="greater than 0"):
        check_plan(Plan.of("learning_rate", factor=-1.0))
    assert Parameters() == Parameters(factor=0.1)


def test_took_effect_reads_the_recorded_rate() -> None:
    """A script that sets its rate back in every epoch shows no effect."""
    session = session_of(mlp(), table())
    learning_rate.apply(session, Parameters(factor=0.1))
    assert learning_rate.took_effect(record_of(session, lr=[0.01]), Parameters())
    assert learning_rate.took_effect(record_of(session, lr=[0.0, 0.005, 0.01, 0.005]), Parameters())
    assert not learning_rate.took_effect(record_of(session, lr=[0.01, 0.1]), Parameters())
    assert learning_rate.took_effect(record_of(session), Parameters())


def test_a_suggested_rate_has_two_digits() -> None:
    """It is written into plans and scripts, and a range test is no finer."""
    (first, *_) = learning_rate.candidates(diagnosis_of("learning_rate_too_low"), probe(0.0012766, 1e-5))
    assert Parameters(lr=0.0013) == first


def probe(suggested: float | None, used: float) -> Evidence:
    return Evidence(record_with(probe_learning_rate_range={"suggested": suggested, "used": used}))


def test_without_a_suggestion_the_longest_steps_that_held_are_halved() -> None:
    """Where the sweep is too short for a slow network, the limit of stability is known all the same."""
    slow = Evidence(record_with(probe_learning_rate_range={"suggested": None, "highest_stable": 1.3, "used": 0.01}))
    assert Parameters(lr=0.65) == learning_rate.candidates(diagnosis_of("slow_convergence"), slow)[0]
    assert Parameters(factor=0.1) == learning_rate.candidates(diagnosis_of("learning_rate_too_high"), slow)[0]


def test_candidates_follow_the_diagnosis() -> None:
    """Down where the rate is blamed for being too high, up where it is too low; the leading cause decides."""
    nothing = Evidence(record_with())
    down = learning_rate.candidates(diagnosis_of("learning_rate_too_high", "slow_convergence"), nothing)
    up = learning_rate.candidates(diagnosis_of("learning_rate_too_low", "oscillating_loss"), nothing)
    assert [choice.factor for choice in down] == [0.1, 0.01, 1 / 3]
    assert [choice.factor for choice in up] == [10, 100, 3]
    assert [choice.factor for choice in learning_rate.candidates(diagnosis_of(), nothing)] == [3, 1 / 3]


def test_candidates_begin_with_the_suggestion() -> None:
    """The range test's rate comes first, unless it is the rate in use or contradicts the diagnosis."""
    low = diagnosis_of("learning_rate_too_low")
    assert learning_rate.candidates(low, probe(0.05, 1e-4))[0] == Parameters(lr=0.05)
    assert learning_rate.candidates(low, probe(1e-5, 1e-4))[0] == Parameters(factor=10.0)
    assert learning_rate.candidates(low, probe(1.5e-4, 1e-4))[0] == Parameters(factor=10.0)
    assert learning_rate.candidates(low, probe(None, 1e-4))[0] == Parameters(factor=10.0)
    assert len(learning_rate.candidates(low, probe(0.05, 1e-4))) == 3
