"""Validation at chance where training labels follow from their inputs: validation is another thing, not noise."""

from __future__ import annotations

from typing import Any

import pytest
from constructed import fired, result
from data_runs import CHANCE, FALLING, LEARNT, run

from advisor.evidence import Evidence

INPUTS = {"level": "model", "train_rows": 900, "val_rows": 300, "features": 8, "train_mean": 0.0, "train_std": 1.0}
INPUTS |= {"val_mean": 0.0, "val_std": 1.0, "shift": 0.1, "shifted_feature": 0, "typical_shift": 0.02, "spread": 1.0}


def followed(reference: float, **series: Any) -> Evidence:
    """The model knows its training data; a plain reference predicts them from each other with this score."""
    probe = {"score": reference, "chance": 0.1, "samples": 256, "gain": 0.0, "error": 0.02}
    return run({"inputs": INPUTS, "probe.reference": probe}, **{"val_accuracy": CHANCE, **series})


@pytest.mark.parametrize(("reference", "rule"), [(0.9, "train_val_mismatch"), (0.12, "no_signal")])
def test_a_reference_tells_a_strange_validation_from_strange_labels(reference: float, rule: str) -> None:
    """Where it predicts the training labels they belong to their inputs; where it cannot, they do not."""
    results = {name: result(name, followed(reference)) for name in ("train_val_mismatch", "no_signal")}
    assert {name for name, one in results.items() if one == "fired"} == {rule}


def test_the_finding_says_what_was_compared() -> None:
    """The reference's score, and the loss of score in validation."""
    message = fired("train_val_mismatch", followed(0.9)).message
    assert "predicts training samples from each other with a score of 0.900" in message
    assert "its score is 0.100 where training data have 0.970" in message


def test_validation_above_guessing_is_left_alone() -> None:
    """Overfitting costs a part of the score and not all of it."""
    assert result("train_val_mismatch", followed(0.9, val_accuracy=CHANCE + 0.3)) == "clear"


@pytest.mark.parametrize(("score", "severity"), [(0.965, "note"), (0.9, "problem"), (0.8, "problem")])
def test_where_there_is_a_score_it_tells_the_harm(score: float, severity: str) -> None:
    """Inputs drift: a loss of twice that of training is harm where the score is lower beyond chance too."""
    shifted = {**INPUTS, "shift": 1.2, "typical_shift": 0.9}
    drifted = run({"inputs": shifted}, val_accuracy=LEARNT - 0.97 + score, val_loss=2 * FALLING)
    assert severity == fired("train_val_mismatch", drifted).severity
