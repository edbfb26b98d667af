"""The budget: trainings and time, each a limit of its own."""

from __future__ import annotations

from advisor.budget import Budget


def test_trainings_are_a_limit() -> None:
    """Ten tenths fit into one training, in spite of rounding."""
    budget = Budget(1.0)
    for _ in range(10):
        assert budget.allows(0.1)
        budget.charge(0.1)
    assert not budget.allows(0.1)


def test_time_is_a_limit() -> None:
    """Three trainings of 4 s do not fit into 10 s one after the other, and do fit three at a time."""
    now = [100.0]
    budget = Budget(20.0, 10.0, clock=lambda: now[0])
    budget.training_seconds = 4.0
    assert not budget.allows(3.0)
    assert budget.allows(3.0, jobs=3)
    now[0] = 107.0
    assert (budget.elapsed, budget.seconds_left) == (7.0, 3.0)
    assert not budget.allows(1.0)
