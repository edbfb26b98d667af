"""Losses that have no accuracy and no R², such as ranking: what stands in for the fit of the training data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from constructed import fired, made, result

from advisor.evidence import Evidence
from advisor.progress import learnt
from advisor.record import Json

RANKING: dict[str, Json] = {"loss": "margin_ranking_loss"}
CAME_BACK = [0.4, 0.25, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5]  # of a first loss of 0.5: it fell, and all was lost again
FELL = [0.4, 0.3, 0.25, 0.2, 0.15, 0.12, 0.1, 0.1]
FLOOR = [0.45, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]  # a contrastive loss may settle at eight tenths of its start


def ranked(losses: list[float], dead: float, **facts: Json) -> Evidence:
    return made(
        layers=[("a", "Linear", 10), ("b", "Linear", 10)],
        step_loss=[0.5] * 80,
        train_loss=losses,
        dead_units=np.full((len(losses), 2), (0.0, dead)),
        facts={**RANKING, **facts},
    )


@pytest.mark.parametrize(("losses", "expected"), [(CAME_BACK, "fired"), (FELL, "clear"), (FLOOR, "clear")])
def test_a_dead_layer_where_the_loss_is_where_it_began(losses: list[float], expected: str) -> None:
    """A loss that fell by a fifth may be at its floor: nothing is said of the sparse layer."""
    assert result("dead_units", ranked(losses, 1.0)) == expected


def test_what_has_no_score_is_said_in_loss() -> None:
    """Of 0.5 it is 0.49 in the end."""
    finding = fired("dead_units", ranked([0.49] * 8, 1.0))
    assert finding.numbers[1].text == "training loss fell by 2%"


def test_a_momentum_that_lost_what_was_learnt() -> None:
    """It ended at twice its best loss."""
    group: Json = [{"class": "SGD", "lr": 0.1, "momentum": 0.998}]
    finding = fired("momentum_too_high", ranked(CAME_BACK, 0.0, optimizer=group, steps_per_epoch=10))
    assert finding.numbers[2].value == pytest.approx(2.0)
    assert result("momentum_too_high", ranked(FELL, 0.0, optimizer=group, steps_per_epoch=10)) == "clear"


def test_the_share_of_the_first_loss_that_is_gone() -> None:
    """0.5 → 0.1 is 0.8; a loss that begins at zero or below has no perfect value."""
    assert learnt(ranked(FELL, 0.0)) == pytest.approx(0.8)
    assert math.isnan(learnt(made(step_loss=[-1.0], train_loss=[-2.0])))
