"""The rules about labels and targets on constructed facts: what they say, and where they keep still."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from constructed import fired, made, result
from data_runs import CHANCE, FALLING, run

from advisor.evidence import Evidence

# ------------------------------------------------------------------------------------------------------------- labels


def test_random_labels_learnt_by_heart_are_no_signal() -> None:
    """Training 0.97, validation 0.1; a lucky epoch changes nothing, a good one does, and so does an end at 0.2."""
    lucky, good = np.array([0.15, 0.2, 0.1, 0.1, 0.1, 0.1]), np.array([0.4, 0.4, 0.3, 0.1, 0.1, 0.1])
    assert result("no_signal", run({}, val_accuracy=CHANCE)) == "fired"
    assert result("no_signal", run({}, val_accuracy=lucky)) == "fired"
    assert result("no_signal", run({}, val_accuracy=good)) == "clear"
    assert result("no_signal", run({}, val_accuracy=np.full(6, 0.2))) == "clear"


def test_a_rare_class_that_is_recognised_is_a_signal() -> None:
    """Accuracy is that of the largest class, the mean recall is far above that of guessing."""
    facts = {"chance_score": 0.95, "classes": 2, "val_samples": 1000}
    series = {"val_accuracy": np.full(6, 0.95), "clean_train_accuracy": np.full(6, 1.0)}
    assert result("no_signal", run(facts, **series)) == "fired"
    assert result("no_signal", run(facts, **series, val_balanced_accuracy=np.full(6, 0.8))) == "clear"


def imbalanced(**change: Any) -> Evidence:
    classes = {"count": [970.0, 30.0], "recall": [1.0, 0.1], "predicted": [997.0, 3.0], "separation": [1.2, 1.2]}
    return run({"label_counts": {"count": [970.0, 30.0]}, "val_classes": {**classes, **change}})


@pytest.mark.parametrize(
    "change",
    [
        {"recall": [0.9, 0.8]},
        {"separation": [0.1, 0.1]},
        {"count": [970.0, 5.0]},
        {"recall": [0.3, 0.2]},
        {"predicted": [900.0, 100.0]},
    ],
    ids=["recognised", "cannot be told", "too few", "all are hard", "mistaken, not missed"],
)
def test_imbalance_alone_is_no_fault(change: dict[str, Any]) -> None:
    """It is one where the model knows the rare class and does not say it."""
    assert "Class 1 has 3.0% of the training labels" in fired("class_imbalance", imbalanced()).message
    assert result("class_imbalance", imbalanced(**change)) == "clear"


def weighed(*weights: float, counts: tuple[float, float] = (970.0, 30.0), separation: float = 1.2) -> Evidence:
    said = {"count": [970.0, 30.0], "recall": [1.0, 0.1], "predicted": [997.0, 3.0], "separation": [separation] * 2}
    return run({"label_counts": {"count": [*counts], "weight": [*weights]}, "val_classes": said})


def test_weights_that_rise_with_the_shares_are_said_to_be_the_wrong_way_round() -> None:
    """One label in four is not rare; a third of the weight leaves it a tenth of the loss."""
    assert result("class_imbalance", weighed(1.0, 1.0, counts=(750.0, 250.0))) == "clear"
    found = fired("class_imbalance", weighed(0.75, 0.25, counts=(750.0, 250.0)))
    assert found.message.startswith(
        "Class 1 has 25.0% of the training labels, and the loss weighs frequent classes more, which leaves it 10.0% of "
        "the loss, and is recognised in 10%"
    )
    assert found.first_step.startswith("Give the loss the inverse of each class's share")
    assert "weight 0.25, the largest 0.75" in [number.text for number in found.numbers]


def test_shares_as_weights_are_why_a_class_was_not_learnt() -> None:
    """With other weights that rise with the shares, it may be that nobody can tell the class from the others."""
    assert fired("class_imbalance", weighed(0.97, 0.03, separation=0.0)).first_step.startswith(
        "Give the loss the inverse"
    )
    assert fired("class_imbalance", weighed(960.0, 31.0, separation=0.0))
    assert result("class_imbalance", weighed(0.75, 0.25, separation=0.0)) == "clear"
    assert result("class_imbalance", weighed(1.0, 1.0, separation=0.0)) == "clear"


def test_weights_that_make_up_for_the_shares_leave_nothing_to_say() -> None:
    """With the inverse each class has the same part of the loss; with a little of it the class is still rare."""
    assert result("class_imbalance", weighed(0.5, 16.0)) == "clear"
    found = fired("class_imbalance", weighed(1.0, 2.0))
    assert "has 3.0% of the training labels, 5.8% as the loss weighs them, and" in found.message
    assert found.first_step.startswith("Weight the loss by the inverse")


@pytest.mark.parametrize(
    "weights", [(2.0, 2.0), (0.0, 0.0), (1.0,), (float("nan"), 1.0)], ids=["equal", "none", "too few", "no number"]
)
def test_weights_that_say_nothing(weights: tuple[float, ...]) -> None:
    """The classes count as often as they are there."""
    assert fired("class_imbalance", weighed(*weights)) == fired("class_imbalance", imbalanced())


def noisy(contradicted: float, right: float, validated: float = 0.97) -> Evidence:
    """After the first epoch the model contradicts so many labels; at the end so many training answers are right."""
    passes = np.array([contradicted, 0.0, 0.0, 0.0, 0.0, 0.0])
    trained = np.linspace(0.5, right, 6)
    return run({}, contradicted=passes, clean_train_accuracy=trained, val_accuracy=np.full(6, validated))


def test_contradicted_labels_that_are_learnt_by_heart_are_a_problem() -> None:
    """A third is contradicted and all are right in the end; where the model never gave in it is a note."""
    found = fired("label_noise", noisy(0.33, 1.0))
    assert (found.severity, "33%" in found.message, "100% of them" in found.message) == ("problem", True, True)
    assert fired("label_noise", noisy(0.33, 0.67)).severity == "note"
    assert result("label_noise", noisy(0.05, 1.0)) == "clear"


def test_what_is_as_hard_in_validation_is_not_mislabelled() -> None:
    """A third of the training labels is contradicted, and a third of validation is wrong."""
    assert result("label_noise", noisy(0.33, 1.0, validated=0.67)) == "clear"


TARGETS: dict[str, Any] = {"values": 1000, "not_finite": 0.0, "distinct": 2, "least": 0.0, "greatest": 1.0}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"distinct": 1, "greatest": 0.0}, "All 1000 targets"),
        ({"not_finite": 0.01}, "0.01 of the targets are NaN"),
        ({"outside": 0.5, "least": -1.0}, "between -1 and 1, 50% of them outside"),
        ({"ignored": 1.0}, "100.0% of the class labels are negative"),
    ],
)
def test_labels_that_cannot_be_learnt_from_are_named(change: dict[str, Any], said: str) -> None:
    """All the same, not finite, out of range, not counted."""
    assert said in fired("degenerate_labels", run({"targets": {**TARGETS, **change}})).message
    assert result("degenerate_labels", run({"targets": TARGETS})) == "clear"


# ------------------------------------------------------------------------------------------------------------ targets


def regression(targets: dict[str, Any], **series: Any) -> Evidence:
    facts = {"targets": {"values": 1000, "not_finite": 0.0, **targets}, "loss": "mse_loss", "chance_score": 0.0}
    usual = {"train_loss": FALLING, "clean_train_r2": np.full(6, 0.1), "typical_residual": np.ones(6)}
    predicted = {"prediction_mean": np.full(6, 5.0), "prediction_std": np.ones(6)}
    return made(task="regression", facts=facts, **{**usual, **predicted, **series})


def test_targets_that_are_not_reached_are_named() -> None:
    """4,000 ± 800, and the outputs are 5 ± 1."""
    assert "4000 ± 8e+02" in fired("unscaled_targets", regression({"mean": 4000.0, "std": 800.0})).message


@pytest.mark.parametrize(
    ("targets", "series"),
    [
        ({"mean": 0.0, "std": 1.0}, {}),
        ({"mean": 4000.0, "std": 800.0}, {"clean_train_r2": np.full(6, 0.9)}),
        ({"mean": 4000.0, "std": 800.0}, {"prediction_mean": np.full(6, 3990.0), "prediction_std": np.full(6, 200.0)}),
    ],
    ids=["small", "explained", "reached but noisy"],
)
def test_targets_of_any_size_may_be_reached(targets: dict[str, Any], series: dict[str, Any]) -> None:
    """Small ones, explained ones, and ones whose mean and some of whose variance is there."""
    assert result("unscaled_targets", regression(targets, **series)) == "clear"


EXTREME = {"outliers": 0.01, "outlier_squares": 0.95, "least": -1.0, "greatest": 300.0, "median": 0.0, "mad": 0.7}


def test_a_few_extreme_targets_are_named() -> None:
    """They hold the squares, and the rest is not fit; where it is, nothing is said."""
    assert "up to 300" in fired("outlier_targets", regression(EXTREME)).message
    assert result("outlier_targets", regression(EXTREME, typical_residual=np.full(6, 0.1))) == "clear"
    assert result("outlier_targets", regression({**EXTREME, "outlier_squares": 0.2})) == "clear"
