"""learning_rate_too_low, slow_convergence and too_few_epochs on constructed runs."""

from __future__ import annotations

import numpy as np
import pytest
from constructed import RULES, fired, made, result

from advisor.diagnosis import diagnose
from advisor.evidence import Evidence

STEPS = 200
LINE = np.linspace(2.29, 2.2, 10)  # ten epochs, 0.4 % each
HUMP = np.array([1.2, 0.9, 0.8, 0.7, 0.62, 0.6, 0.85, 0.9, 0.7, 0.58])  # falls at the end, from where it went up
SETTLED = np.array([1.2, 0.6, 0.5, 0.48, 0.47, 0.47, 0.47, 0.47, 0.47, 0.47])


def slow(update: float = 1e-5, loss: np.ndarray = LINE, **change: object) -> Evidence:
    """The loss falls in a line; a step moves two layers by `update`."""
    series: dict[str, object] = {
        "train_loss": loss,
        "val_loss": loss,
        "step_loss": np.full(STEPS, 2.3),
        "update_ratio": np.full((STEPS, 2), update),
        "lr": np.full((STEPS, 1), 0.1),
    }
    return made(**{**series, **change})  # type: ignore[arg-type]  # arrays and facts by name


def test_tiny_steps_explain_the_rest() -> None:
    """Where the steps are tiny, slow convergence and too few epochs are its symptoms."""
    diagnosis = diagnose(slow(), RULES)
    assert diagnosis.findings[0].rule == "learning_rate_too_low"
    assert {f.explained_by for f in diagnosis.findings[1:]} == {"learning_rate_too_low"}


def test_ordinary_steps_are_not_too_short() -> None:
    """A thousandth of the weights is what CS231n asks for: the same curve then is slow convergence."""
    diagnosis = diagnose(slow(1e-3), RULES)
    assert [f.rule for f in diagnosis.findings] == ["slow_convergence", "too_few_epochs"]


def test_a_network_killed_by_one_long_step_needs_no_higher_rate() -> None:
    """Tiny steps after a first one as long as the weights."""
    updates = np.full((STEPS, 2), 1e-6)
    updates[0] = 1.0
    assert result("learning_rate_too_low", slow(update_ratio=updates)) == "clear"


def test_layers_that_never_move_are_left_out() -> None:
    """Nine frozen layers do not make the steps of the tenth short."""
    updates = np.zeros((STEPS, 10))
    updates[:, -1] = 1e-3
    assert result("learning_rate_too_low", slow(update_ratio=updates)) == "clear"
    assert result("learning_rate_too_low", slow(update_ratio=np.zeros((STEPS, 2)))) == "clear"


def test_a_pretrained_model_needs_no_steps() -> None:
    """Tiny steps at a training accuracy of 0.9."""
    run = slow(clean_train_accuracy=np.full(10, 0.9), facts={"chance_score": 0.1})
    assert result("learning_rate_too_low", run) == "clear"


def test_a_rate_that_a_schedule_took_away() -> None:
    """ExponentialLR stepped for each batch: below a thousandth of its peak after 66 of 200 steps."""
    rates = 0.1 * 0.9 ** np.arange(STEPS)[:, None]
    finding = fired("learning_rate_too_low", slow(1e-3, np.full(10, 2.1), lr=rates))
    assert finding.since == 67  # the first step whose rate is below 1e-3 of the peak: 0.9^66 = 9.6e-4
    assert "taken away" in finding.message


def test_a_cosine_that_ends_at_zero_took_nothing_away() -> None:
    """Its rate is below a thousandth of the peak for the last 2 % of the steps."""
    rates = 0.05 * (1 + np.cos(np.pi * np.arange(STEPS) / STEPS))[:, None]
    assert result("learning_rate_too_low", slow(1e-3, np.full(10, 2.1), lr=rates)) == "clear"


@pytest.mark.parametrize(("suggested", "expected"), [(0.5, "fired"), (0.05, "clear")])
def test_a_range_test_confirms_or_contradicts(suggested: float, expected: str) -> None:
    """It used 0.1: a higher suggestion confirms the finding, a lower one takes it back."""
    run = slow(facts={"probe.learning_rate_range": {"suggested": suggested, "used": 0.1}})
    assert result("learning_rate_too_low", run) == expected
    if expected == "fired":
        assert fired("learning_rate_too_low", run).confirmed_by == ("learning_rate_range",)


def test_a_floor_is_not_slow() -> None:
    """Noise sets a floor: most of the loss is left, and it stands still there."""
    floor = 1.3 + 0.9 * np.exp(-np.arange(10.0))
    assert result("slow_convergence", slow(1e-3, floor)) == "clear"


def test_training_that_does_not_reach_validation_is_not_slow() -> None:
    """The training loss creeps down, the validation loss does not follow: more of it will not help."""
    assert result("slow_convergence", slow(1e-3, val_loss=np.full(10, 2.2))) == "clear"
    assert result("too_few_epochs", slow(1e-3, val_loss=np.full(10, 2.2))) == "clear"


def test_two_epochs_can_be_too_few() -> None:
    """2.3 → 2.1 → 1.8: the second epoch was faster than the first."""
    finding = fired("too_few_epochs", slow(1e-3, np.array([2.1, 1.8])))
    assert "2 epochs" in finding.message
    assert finding.numbers[0].value == pytest.approx(0.3 / 0.5 * 2)


@pytest.mark.parametrize(
    "change",
    [
        {"loss": SETTLED},
        {"epochs": 30},  # planned: the run was stopped, or is not over
        {"step_based": True},
        {"lr": np.linspace(0.1, 0.0, STEPS)[:, None]},
        {"val_loss": HUMP},
    ],
    ids=["settled", "interrupted", "counted in steps", "annealed", "hump"],
)
def test_what_is_not_too_few_epochs(change: dict[str, object]) -> None:
    """A settled curve, a run that was cut short, a window of steps, a schedule that came to its end, a way back."""
    assert result("too_few_epochs", slow(1e-3, **change)) == "clear"  # type: ignore[arg-type]  # as for `slow`
