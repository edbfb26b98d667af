"""What rules ask of a curve, against sums done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from advisor.evidence import Layers
from advisor.progress import GRID, end, evenly, fall, noise, pace, share_error, smooth


def test_noise_is_the_scatter_around_a_trend() -> None:
    """White noise of 0.1 on a straight line; four values are too few to tell."""
    line = np.linspace(5.0, 1.0, 2000) + 0.1 * np.random.default_rng(0).standard_normal(2000)
    assert noise(line) == pytest.approx(0.1, rel=0.05)
    assert noise(np.linspace(5.0, 1.0, 50)) == pytest.approx(0.0, abs=1e-12)
    assert noise(np.array([1.0, 5.0, 2.0, 9.0])) == 0.0


def test_pace_compares_the_last_quarter_with_the_whole() -> None:
    """From 10: eight epochs fall by 5, the last two of them by 1, that is 0.5 an epoch against 0.625."""
    values = np.array([9.0, 8.5, 8.0, 7.5, 7.0, 6.0, 5.5, 5.0])
    assert pace(10.0, values) == pytest.approx(0.5 / 0.625)
    assert pace(10.0, np.array([2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])) == 0.0
    assert pace(10.0, np.array([2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.5, 2.0])) < 0
    assert pace(1.0, np.array([2.0, 3.0])) == 0.0


def test_fall_is_counted_in_noise() -> None:
    """Infinite on a curve without any; about nought for scatter alone."""
    assert fall(4.0, np.array([3.0, 2.0, 1.0])) == math.inf
    scatter = 1.0 + 0.1 * np.random.default_rng(1).standard_normal(100)
    assert abs(fall(1.0, scatter)) < 3


def test_evenly_undoes_dense_sampling() -> None:
    """Sampled at steps 1, 2, 3 and 100: the value of step 3 holds until 100."""
    layers = Layers(np.array([1, 2, 3, 100]), ("a",), np.array([[1.0], [1.0], [5.0], [9.0]]))
    assert evenly(layers).shape == (GRID, 1)
    assert np.median(evenly(layers)) == 5.0


def test_smoothing_and_the_end_use_three_values() -> None:
    """Each value with the two before it."""
    values = np.array([3.0, 6.0, 9.0, 0.0])
    assert smooth(values).tolist() == [3.0, 4.5, 6.0, 5.0]
    assert end(values) == 5.0


def test_the_error_of_a_share_is_binomial() -> None:
    """0.8 of 100: sqrt(0.16 / 100); a perfect score has none."""
    assert share_error(0.8, 100) == pytest.approx(0.04)
    assert share_error(1.0, 10) == 0.0
