"""A short run whose loss falls steeply: the mean of its last epochs lies above its best, and nothing was lost."""

from __future__ import annotations

import pytest
from constructed import GUESS, made, result

from advisor.evidence import Evidence

STEEP = [1.12, 1.07, 0.9, 0.58]  # the mean of the last three is 1.5 times the best
LOST = [1.12, 0.58, 0.9, 1.07]  # the same values, and the best is not the last


def exploding(losses: list[float]) -> Evidence:
    """Two epochs had a gradient of five times the usual length at an ordinary loss."""
    return made(
        train_loss=losses,
        gradient_peak=[1.0, 5.0, 5.0, 1.0],
        gradient_median=[1.0] * 4,
        loss_at_peak=[1.0] * 4,
        clean_train_accuracy=[0.1, 0.3],
        facts=GUESS,
    )


def heavy(losses: list[float]) -> Evidence:
    """A momentum of 0.99."""
    facts = {**GUESS, "steps_per_epoch": 100, "optimizer": [{"class": "SGD", "lr": 0.1, "momentum": 0.99}]}
    return made(train_loss=[2 * loss for loss in losses], clean_train_accuracy=[0.1, 0.3], facts=facts)


@pytest.mark.parametrize(("losses", "expected"), [(STEEP, "clear"), (LOST, "fired")])
def test_a_gradient_explodes_only_where_something_was_lost(losses: list[float], expected: str) -> None:
    """The same long gradients: on the way down they are how a network leaves a flat start."""
    assert result("exploding_gradients", exploding(losses)) == expected


def test_a_heavy_momentum_that_still_falls_is_none_too_high() -> None:
    """The last epoch is the best one."""
    assert result("momentum_too_high", heavy(STEEP)) == "clear"
    assert result("momentum_too_high", heavy(LOST)) == "fired"
