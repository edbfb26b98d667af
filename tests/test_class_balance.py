"""Weights of classes beside their counts: which are the wrong way round."""

from __future__ import annotations

import math

import pytest

from advisor.class_balance import goes_with_counts


@pytest.mark.parametrize(
    ("weights", "counts", "expected"),
    [
        ([0.9, 0.1], [90, 10], True),
        ([0.1, 0.9], [90, 10], False),
        ([0.6, 0.3, 0.1], [60, 30, 10], True),
        ([0.6, 0.1, 0.3], [60, 30, 10], False),  # costs of somebody's own
        ([0.6, 0.2, 0.2], [60, 20, 20], True),
        ([0.6, 0.2, 0.2], [60, 21, 19], False),
        ([0.9, 0.1, 5.0], [90, 10, 0], True),  # a class that does not occur
        ([1.1, 1.0], [90, 10], False),  # hardly weights
        ([0.9, 0.1], [51, 49], False),  # hardly a difference that they could go with
        ([0.9, 0.0], [90, 10], True),
        ([1.0], [90], False),
        ([1.0, 2.0, 3.0], [90, 10], False),
        ([math.nan, 0.1], [90, 10], False),
    ],
)
def test_weights_that_rise_with_the_counts(weights: list[float], counts: list[int], expected: bool) -> None:
    """Only without exception, and where both are uneven."""
    assert expected == goes_with_counts(weights, counts)
