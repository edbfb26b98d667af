"""oscillating_loss, unstable_loss and momentum_too_high on constructed runs, and swings that are no fault."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from constructed import GUESS, fired, made, result

from advisor.evidence import Evidence
from advisor.record import Json


def swinging(losses: list[float], *, scatter: float = 0.1, fit: float = 0.5, **change: Any) -> Evidence:
    facts = {**GUESS, "steps_per_epoch": 100, **change.pop("facts", {})}
    return made(
        train_loss=losses,
        train_loss_std=[scatter] * len(losses),
        clean_train_accuracy=[0.1, fit],
        facts=facts,
        **change,
    )


ZIGZAG = [2.0, 1.0, 0.5, 0.4, 0.6, 0.4, 0.7, 0.4, 0.6, 0.5]


def test_a_loss_that_goes_up_and_down() -> None:
    """Two of the last five steps from epoch to epoch are rises: of 0.4 to 0.7 and to 0.6."""
    finding = fired("oscillating_loss", swinging(ZIGZAG))
    assert finding.numbers[0].value == pytest.approx(2 / 5)


@pytest.mark.parametrize(
    "run",
    [
        swinging(ZIGZAG, fit=0.99),
        swinging(ZIGZAG, scatter=5.0),
        swinging([2.0, 1.5, 1.6, 1.4, 1.5, 1.2, 1.3, 1.0, 1.1, 0.9]),
        swinging([2.0, 1.0, 0.5, 0.41, 0.42, 0.41, 0.42, 0.41, 0.42, 0.42]),
        swinging(ZIGZAG, epoch_lr=[0.1, 0.2] * 5),
    ],
    ids=["it fits", "noise of few batches", "it still comes down", "small swings", "the rate swings"],
)
def test_what_does_not_oscillate(run: Evidence) -> None:
    """A tail, noise, progress, and a cyclic rate."""
    assert result("oscillating_loss", run) == "clear"


def leaping(leaps: list[float], memory: float = 0.7, **change: Any) -> Evidence:
    """Ten epochs at 0.2 with peaks that much higher; the first loss is 2."""
    peaks = [0.2 + leap for leap in leaps]
    return made(
        train_loss=[0.2] * 10,
        loss_peak=peaks,
        loss_median=[0.2] * 10,
        loss_memory=[memory] * 10,
        step_loss=[2.0] * 5,
        **change,
    )


def test_spikes_that_come_again() -> None:
    """Half of the first loss in epochs 4, 6 and 8."""
    finding = fired("unstable_loss", leaping([0, 0, 0, 0, 1.0, 0, 1.0, 0, 1.2, 0]))
    assert (finding.since, finding.numbers[0].value) == (4, pytest.approx(0.5))


@pytest.mark.parametrize(
    "run",
    [
        leaping([0, 0, 0, 0, 1.0, 0, 0, 0, 1.2, 0]),
        leaping([0, 0, 0, 0, 1.0, 0, 1.0, 0, 1.2, 0], memory=0.0),
        leaping([1.0, 1.0, 1.0, 0, 0, 0, 0, 0, 0, 0]),
        leaping([0, 0, 0, 0, 1.0, 0, 1.0, 0, 1.2, 0], epoch_lr=[0.1, 0.2] * 5),
        leaping([0, 0, 0, 0, 0.2, 0, 0.2, 0, 0.2, 0]),
    ],
    ids=["twice", "hard batches in no order", "at the beginning", "the rate leapt", "low"],
)
def test_what_is_not_unstable(run: Evidence) -> None:
    """Two spikes, outliers, a warm-up, restarts, small waves."""
    assert result("unstable_loss", run) == "clear"


def swung(momentum: float, losses: list[float] = ZIGZAG, kind: str = "SGD", fit: float = 0.5) -> Evidence:
    group: Json = {"class": kind, "lr": 0.1, "weight_decay": 0.0, "momentum": momentum}
    return swinging(losses, fit=fit, facts={"optimizer": [group]})


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (swung(0.995), "fired"),
        (swung(0.9), "clear"),
        (swung(0.995, kind="Adam"), "clear"),
        (swung(0.995, fit=0.99), "clear"),
        (swung(0.995, losses=list(np.geomspace(2.0, 0.4, 10))), "clear"),
    ],
    ids=["it swings", "usual", "Adam's beta is none", "it fits", "it comes down"],
)
def test_momentum_with_a_long_memory(run: Evidence, expected: str) -> None:
    """0.995 adds up 200 steps; that it swings as well is what makes it a fault."""
    assert result("momentum_too_high", run) == expected
