"""How far below another run a screening may be before it is stopped."""

from __future__ import annotations

import numpy as np
import pytest

from advisor.rivals import floors

RISING = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.51, 0.5, 0.51])  # between its last epochs: ±0.01, a spread of 0.0094
JITTER = float(np.std([0.01, -0.01, 0.01]))


def test_nothing_counts_before_a_quarter_of_the_run() -> None:
    """From there on, what is as far away as the seeds of what is kept are from each other is clearly behind."""
    assert floors(RISING, 0.05, since=0.25, of_another=False) == {
        place: pytest.approx(RISING[place] - 0.05) for place in range(2, 8)
    }


def test_the_spread_between_epochs_counts_where_the_seeds_are_closer() -> None:
    """A run whose score jumps from epoch to epoch says little by one of them."""
    assert floors(RISING, 0.0, since=0.5, of_another=False) == {
        place: pytest.approx(RISING[place] - JITTER) for place in range(4, 8)
    }


def test_the_seeds_of_a_sick_baseline_do_not_excuse_what_falls_behind_its_repair() -> None:
    """A quarter of the run after the first margin, two spreads of the rival's own epochs are enough."""
    expected = dict.fromkeys((2, 3), 0.3) | dict.fromkeys(range(4, 8), 2 * JITTER)
    assert floors(RISING, 0.3, since=0.25, of_another=True) == {
        place: pytest.approx(RISING[place] - margin) for place, margin in expected.items()
    }


def test_the_smaller_of_both_margins_counts() -> None:
    """Seeds that are closer together than a run's own epochs do not make a stop later."""
    assert floors(RISING, 0.0, since=0.25, of_another=True) == floors(RISING, 0.0, since=0.25, of_another=False)


def test_a_score_that_stands_still_says_nothing_of_its_spread() -> None:
    """An accuracy at its ceiling: one sample fewer is no reason to stop."""
    still = np.full(8, 0.99)
    assert floors(still, 0.1, since=0.25, of_another=True) == {place: pytest.approx(0.89) for place in range(2, 8)}


@pytest.mark.parametrize("values", [[0.1, 0.2], [0.1, 0.2, 0.3, 0.3, float("nan"), 0.3]])
def test_there_are_no_floors_without_two_finite_epochs(values: list[float]) -> None:
    """Too short, or not finite where it counts."""
    assert floors(np.array(values), 0.1, since=0.5, of_another=True) == {}
