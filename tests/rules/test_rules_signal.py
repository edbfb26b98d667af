"""The non-finite rules, bad_initialization, saturated_units and exploding_gradients on constructed runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from constructed import GUESS, fired, made, result

from advisor.evidence import Evidence

NAN = float("nan")
CLEAN = {"checked": 100, "of": 100, "inputs": 0, "targets": 0, "kind": "", "columns": []}


# ------------------------------------------------------------------------ non_finite_inputs, non_finite_gradients


def broken(**change: Any) -> Evidence:
    """The gradient broke at step 16 and the loss at 17; the data are clean."""
    found: dict[str, Any] = {
        "phase": "train",
        "epoch": 1,
        "step": 17,
        "gradient_step": 16,
        "gradients_known": True,
        "before": [0.9, 0.8, 0.85],
        "first": 1.0,
        "given": [0, 12],
        "kept_targets": None,
        "data": CLEAN,
        "weights": ["0"],
    }
    facts = {"non_finite": {**found, **change}, "batch_size": 10, "singular_operations": ["sqrt"]}
    return made(train_loss=[0.9, NAN], facts=facts)


def test_missing_values_are_named_by_column() -> None:
    """Three of a hundred samples, in two columns."""
    run = broken(gradient_step=17, data={**CLEAN, "inputs": 3, "kind": "NaN", "columns": [2, 7]}, given=[2, 12])
    finding = fired("non_finite_inputs", run)
    assert "3 of 100 training inputs hold NaN, in columns 2 and 7;" in finding.message
    assert result("non_finite_gradients", run) == "clear"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "clear"),
        ({"given": [1, 12]}, "fired"),  # made in the loop, from clean data
        ({"data": {**CLEAN, "targets": 1, "kind": "NaN"}}, "fired"),
        ({"data": None, "kept_targets": [1, 4]}, "fired"),
        ({"data": {**CLEAN, "inputs": 10, "kind": "NaN"}}, "clear"),  # a tenth, and none of 120 that the model got
        ({"data": {**CLEAN, "inputs": 1, "kind": "NaN"}}, "fired"),  # one, which 120 samples need not have shown
        ({"phase": "val", "data": {**CLEAN, "inputs": 10, "kind": "NaN"}}, "fired"),
        ({"data": None, "given": None}, "clear"),
    ],
)
def test_where_in_the_data(change: dict[str, Any], expected: str) -> None:
    """In the data set, in what the loop made of it, or in neither."""
    assert result("non_finite_inputs", broken(**change)) == expected


def test_a_gradient_that_broke_first() -> None:
    """Since its own step, with the operation that may have done it."""
    finding = fired("non_finite_gradients", broken())
    assert finding.since == 16
    assert "an ordinary 0.85" in finding.message
    assert "sqrt" in finding.first_step


@pytest.mark.parametrize(
    "change",
    [
        {"gradient_step": 17},
        {"gradient_step": None},
        {"before": [1.0, 5.0, 50.0]},
        {"data": {**CLEAN, "inputs": 1}},
        {"given": [1, 12]},
    ],
    ids=["with the loss", "never", "the loss grew first", "data", "the model's inputs"],
)
def test_what_is_no_gradient_that_broke_first(change: dict[str, Any]) -> None:
    """The forward pass, a divergence, or NaN in the data."""
    assert result("non_finite_gradients", broken(**change)) == "clear"


def test_finite_runs_are_clear() -> None:
    """Without the fact every loss was a number: that was looked at, and is not missing."""
    run = made(train_loss=[1.0, 0.5])
    assert {result(rule, run) for rule in ("non_finite_inputs", "non_finite_gradients")} == {"clear"}


# -------------------------------------------------------------------------------------------- bad_initialization


def begun(scale: list[float], spread: list[list[float]], *, first: float = 2.3, fit: float = 0.1) -> Evidence:
    """Three linear layers."""
    return made(
        layers=[("a", "Linear", 10), ("b", "Linear", 10), ("c", "Linear", 10)],
        initial_scale=[scale],
        units_spread=spread,
        step_loss=[first, 2.3],
        clean_train_accuracy=[0.1, fit],
        facts=GUESS,
    )


USUAL = [[0.9, 0.9, 0.9]] * 3


def test_units_that_stay_alike() -> None:
    """Layers a and b; the output layer may begin at zero."""
    finding = fired("bad_initialization", begun([0.0, 0.0, 0.0], [[0, 0, 0], [0, 0, 0.9]]))
    assert finding.layers == ("a", "b")
    assert "all zero" in finding.message
    assert "all the same" in fired("bad_initialization", begun([1.0, 0.5, 0.5], [[0, 0.9, 0.9]] * 3)).message


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (begun([1.0, 1.0, 0.0], [[0.9, 0.9, 0.0], [0.9, 0.9, 0.8]]), "a last layer of zeros"),
        (begun([0.0, 1.0, 1.0], [[0, 0.9, 0.9], [0.8, 0.9, 0.9]]), "they came apart"),
        (begun([0.0, 0.0, 0.0], [[0, 0, 0]] * 3, fit=0.9), "the data are fit"),
        (begun([28.0, 28.0, 28.0], USUAL, first=3.0), "no harm at the first step"),
        (begun([28.0, 28.0, 28.0], USUAL, first=90.0, fit=0.95), "it fits"),
        (begun([3.0, 3.0, 3.0], USUAL, first=90.0), "He's for wide outputs: the inputs are large"),
        (begun([1e-3, 1.0, 1.0], USUAL), "one small layer"),
    ],
)
def test_what_is_no_bad_initialization(run: Evidence, why: str) -> None:
    """Legal zeros, legal scales, and what did no harm."""
    assert result("bad_initialization", run) == "clear", why


def test_scales_that_are_far_off() -> None:
    """28 is a standard deviation of 1 over 784 inputs; a thousandth passes nothing."""
    assert "too large" in fired("bad_initialization", begun([28.0, 16.0, 16.0], USUAL, first=90.0)).message
    assert "too small" in fired("bad_initialization", begun([1e-3, 1e-3, 1e-3], USUAL)).message


# ------------------------------------------------------------------------- saturated_units, exploding_gradients


@pytest.mark.parametrize(
    ("shares", "fit", "expected"),
    [([0.2, 0.9, 0.9, 0.9], 0.1, "fired"), ([0.9] * 4, 0.95, "clear"), ([0.9, 0.9, 0.9, 0.2], 0.1, "clear")],
    ids=["it does not fit", "it fits", "they came back"],
)
def test_saturation_that_does_harm(shares: list[float], fit: float, expected: str) -> None:
    """Since the middle of the run, and with a bad fit."""
    columns = np.stack([shares, np.full(4, NAN)], 1)
    run = made(saturated_units=columns, clean_train_accuracy=[0.1, 0.1, 0.1, fit], facts=GUESS)
    assert result("saturated_units", run) == expected


def exploded(ratios: list[float], losses: list[float], train: list[float], fit: float = 0.3) -> Evidence:
    return made(
        train_loss=train,
        gradient_peak=ratios,
        gradient_median=[1.0] * len(ratios),
        loss_at_peak=losses,
        clean_train_accuracy=[0.1, fit],
        facts=GUESS,
    )


LOST = [2.0, 1.0, 2.0, 2.0, 2.0]


def test_long_gradients_at_ordinary_losses() -> None:
    """Ten and eight times the usual length; the loss doubled since its best."""
    finding = fired("exploding_gradients", exploded([1.5, 10.0, 8.0, 2.0, 2.0], [1.0] * 5, LOST))
    assert (finding.since, finding.numbers[0].value) == (1, 8.0)


@pytest.mark.parametrize(
    ("ratios", "losses", "train", "fit"),
    [
        ([1.5, 10.0, 2.0, 2.0, 2.0], [1.0] * 5, LOST, 0.3),
        ([1.5, 10.0, 8.0, 2.0, 2.0], [1.0, 9.0, 7.0, 1.0, 1.0], LOST, 0.3),
        ([1.5, 10.0, 8.0, 2.0, 2.0], [1.0] * 5, [2.0, 1.5, 1.4, 1.3, 1.3], 0.3),
        ([1.5, 10.0, 8.0, 2.0, 2.0], [1.0] * 5, LOST, 0.95),
    ],
    ids=["once", "batches of outliers", "nothing was lost", "it fits"],
)
def test_what_does_not_explode(ratios: list[float], losses: list[float], train: list[float], fit: float) -> None:
    """One spike, outliers, no loss of what was learned, a rare hard sample among easy ones."""
    assert result("exploding_gradients", exploded(ratios, losses, train, fit)) == "clear"
