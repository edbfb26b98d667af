"""The rules about data on constructed facts: what they say, and where they keep still."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from constructed import fired, made, result

from advisor.evidence import Evidence

LEARNT = np.array([0.5, 0.9, 0.95, 0.97, 0.97, 0.97])
CHANCE = np.full(6, 0.1)
FALLING = np.array([2.0, 1.0, 0.5, 0.3, 0.2, 0.2])

INPUT: dict[str, Any] = {"layer": "0", "kind": "Linear", "features": 10, "mean": 0.0, "std": 1.0}
INPUT |= {"largest": 1.0, "smallest": 0.9, "offset": 0.1}
TRAIN: dict[str, Any] = {"data_set": 1000, "shared": 0, "given": 1000, "read": 1000, "distinct": 1000, "copies": 0.0}
TRAIN |= {"again": 1.0, "same_order": False, "sampler": "RandomSampler"}
VAL: dict[str, Any] = {"given": 200, "read": 200, "in_training": 0, "again": 1.0, "same_targets": True, "change": 0.0}
VAL |= {"stream": False, "bits": 200.0, "shared_indices": None}
COMPARED: dict[str, Any] = {"level": "model", "train_rows": 1000, "val_rows": 1000, "features": 10, "train_mean": 0.0}
COMPARED |= {"train_std": 1.0, "val_mean": 0.0, "val_std": 1.0, "shift": 0.1, "shifted_feature": 3}
COMPARED |= {"typical_shift": 0.05, "spread": 1.0}


def run(facts: dict[str, Any], **series: Any) -> Evidence:
    """Ten classes, six epochs; training and validation as good as can be unless it is said otherwise."""
    usual = {"train_loss": FALLING, "val_loss": FALLING, "clean_train_loss": FALLING}
    scores = {"clean_train_accuracy": LEARNT, "val_accuracy": LEARNT}
    whole = {"chance_score": 0.1, "classes": 10, "val_samples": 1000, "loss": "cross_entropy", **facts}
    return made(facts=whole, **{**usual, **scores, **series})


# ------------------------------------------------------------------------------------------------------------- inputs


def scaled(**change: Any) -> Evidence:
    return run({"first_layer_input": {**INPUT, **change}}, clean_train_accuracy=CHANCE)


def test_large_inputs_that_are_not_fit_are_named() -> None:
    """Features up to 800 beside one of 0.1: both numbers are said."""
    found = fired("unscaled_inputs", scaled(largest=800.0, smallest=0.1))
    assert "between 0.1 and 8e+02" in found.message
    assert found.layers == ("0",)


def test_tiny_inputs_are_named() -> None:
    """Divided by 255 twice: a row of ten features has a length of 0.005."""
    assert "length of a row" in fired("unscaled_inputs", scaled(std=0.0015, largest=0.002)).numbers[0].text


def test_large_inputs_that_are_fit_do_no_harm() -> None:
    """The training data are fit: the scale of the inputs is nobody's business."""
    assert result("unscaled_inputs", run({"first_layer_input": {**INPUT, "largest": 200.0}})) == "clear"


def test_a_model_that_normalises_first_takes_any_scale() -> None:
    """Not so where single features are lost beside others."""
    assert result("unscaled_inputs", scaled(largest=200.0, smallest=150.0, kind="BatchNorm1d")) == "clear"
    assert result("unscaled_inputs", scaled(largest=200.0, smallest=150.0)) == "fired"


@pytest.mark.parametrize("change", [{"typical_shift": 1.0}, {"shift": 8.0}, {"spread": 5.0}, {"spread": 0.1}])
def test_inputs_that_differ_and_harm_validation_are_named(change: dict[str, Any]) -> None:
    """In means, in one mean, and in spread, each with a score that is far behind."""
    bad = run({"inputs": {**COMPARED, **change}}, val_accuracy=CHANCE)
    assert fired("train_val_mismatch", bad).severity == "problem"
    assert fired("train_val_mismatch", run({"inputs": {**COMPARED, **change}})).severity == "note"


def test_like_inputs_are_no_mismatch() -> None:
    """Validation is bad for another reason."""
    assert result("train_val_mismatch", run({"inputs": COMPARED}, val_accuracy=CHANCE)) == "clear"


def test_the_means_of_few_samples_may_differ() -> None:
    """A typical shift of 0.6 deviations among thirty samples is chance."""
    few = {**COMPARED, "val_rows": 30, "typical_shift": 0.6}
    assert result("train_val_mismatch", run({"inputs": few}, val_accuracy=CHANCE)) == "clear"


def test_a_part_of_sorted_data_is_not_compared() -> None:
    """The first batches of sorted data differ from validation, and from the rest of training."""
    facts = {"inputs": {**COMPARED, "typical_shift": 1.0}, "batch_mixing": 0.1}
    assert result("train_val_mismatch", run(facts, val_accuracy=CHANCE)) == "clear"


def test_augmentation_may_widen_the_training_data() -> None:
    """Half of the spread in validation is what noise in training makes."""
    facts = {"inputs": {**COMPARED, "spread": 0.4}, "train_identities": {**TRAIN, "again": 0.0}}
    assert result("train_val_mismatch", run(facts, val_accuracy=CHANCE)) == "clear"


def test_classes_that_training_never_shows_are_named() -> None:
    """Split by order: the last two of ten classes are in validation only."""
    counts = {"label_counts": {"count": [100.0] * 8 + [0.0] * 2}, "val_classes": {"count": [0.0] * 8 + [50.0] * 2}}
    found = fired("train_val_mismatch", run({"inputs": COMPARED, **counts}, val_accuracy=CHANCE))
    assert "100% of its samples are of 2 classes" in found.message


# ------------------------------------------------------------------------------------------------------------ samples


def leaked(train: dict[str, Any] | None = None, **change: Any) -> Evidence:
    return run({"train_identities": {**TRAIN, **(train or {})}, "val_identities": {**VAL, **change}})


def test_copies_in_validation_are_named() -> None:
    """Sixty of two hundred."""
    assert "30% of the validation samples" in fired("train_val_leakage", leaked(in_training=60)).message


@pytest.mark.parametrize(
    ("train", "change"), [({}, {"bits": 12.0}), ({"copies": 0.25}, {})], ids=["few bits", "natural"]
)
def test_samples_that_are_bound_to_repeat_are_no_leak(train: dict[str, Any], change: dict[str, Any]) -> None:
    """Twelve yes-or-no columns; and texts that repeat within the training data as well."""
    assert result("train_val_leakage", leaked(train, in_training=60, **change)) == "clear"


def test_shared_indices_are_a_leak_whatever_the_values_are() -> None:
    """Augmented, so that no value is the same: the subsets tell."""
    assert result("train_val_leakage", leaked(shared_indices=100)) == "fired"


@pytest.mark.parametrize("change", [{"same_targets": False}, {"stream": True}, {"again": 0.95}])
def test_new_samples_are_no_augmentation(change: dict[str, Any]) -> None:
    """Other samples each epoch, a stream, and a few that were not found."""
    assert result("augmented_validation", leaked(**{"again": 0.0, "change": 0.5, **change})) == "clear"


def test_flips_in_validation_are_augmentation() -> None:
    """Half of the samples are as they were."""
    assert fired("augmented_validation", leaked(again=0.5, change=0.4)).severity == "problem"


def test_a_tiny_change_is_a_note() -> None:
    """A thousandth of a deviation moves no score."""
    assert fired("augmented_validation", leaked(again=0.0, change=0.001)).severity == "note"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "fired"),
        ({"again": 0.25}, "clear"),  # another quarter of the data each time
        ({"again": 0.0}, "clear"),  # augmented: samples cannot be told
        ({"again": 0.0, "sampler": "SequentialSampler"}, "fired"),
        ({"sampler": "DistributedSampler"}, "clear"),
        ({"sampler": "WeightedRandomSampler"}, "clear"),
        ({"shared": 750}, "clear"),
    ],
)
def test_the_rest_is_never_seen_only_where_it_is_the_same_rest(change: dict[str, Any], expected: str) -> None:
    """An epoch takes 250 of 1,000 samples."""
    assert result("samples_never_seen", run({"train_identities": {**TRAIN, "given": 250, **change}})) == expected


def test_chosen_indices_are_a_note() -> None:
    """A sampler over indices that the user gave."""
    chosen = {**TRAIN, "given": 250, "sampler": "SubsetRandomSampler"}
    assert fired("samples_never_seen", run({"train_identities": chosen})).severity == "note"


def test_batches_of_one_class_that_are_unlearnt_are_named() -> None:
    """The loop sees 0.2 where the whole has 2.0; without that it is a note."""
    facts = {"batch_mixing": 0.1, "train_identities": {**TRAIN, "same_order": True}}
    found = fired("unshuffled_batches", run(facts, clean_train_loss=np.full(6, 2.0)))
    assert found.severity == "problem"
    assert "in the same order in every epoch" in found.message
    assert fired("unshuffled_batches", run(facts)).severity == "note"
    assert result("unshuffled_batches", run({"batch_mixing": 0.95}, clean_train_loss=np.full(6, 2.0))) == "clear"


def augmented(**series: Any) -> Evidence:
    facts = {"train_identities": {**TRAIN, "again": 0.0}, "val_identities": VAL, "inputs": COMPARED}
    return run(facts, **{"clean_train_accuracy": np.full(6, 0.3), "val_accuracy": np.full(6, 0.6), **series})


def test_augmentation_that_hides_the_class_is_named() -> None:
    """Validation, which is not augmented, is twice as good and still not good."""
    assert result("excessive_augmentation", augmented()) == "fired"


@pytest.mark.parametrize(
    "series", [{"val_accuracy": np.full(6, 0.95)}, {"clean_train_accuracy": np.full(6, 0.8)}], ids=["good", "readable"]
)
def test_strong_augmentation_that_works_is_left_alone(series: dict[str, Any]) -> None:
    """Validation is good, or the training data can be read."""
    assert result("excessive_augmentation", augmented(**series)) == "clear"


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


# ------------------------------------------------------------------------------------------------------------ waiting


@pytest.mark.parametrize(
    ("change", "expected"),
    [({}, "fired"), ({"share": 0.2}, "clear"), ({"seconds": 0.5}, "clear"), ({"per_sample": 2e-5}, "clear")],
)
def test_waiting_for_data_must_matter(change: dict[str, Any], expected: str) -> None:
    """Most of the time, some seconds, and more than stacking tensors takes."""
    wait = {"seconds": 60.0, "share": 0.8, "per_sample": 0.003, "epochs": 5, "workers": 0, **change}
    assert result("data_loading_bottleneck", run({"data_wait": wait})) == expected
