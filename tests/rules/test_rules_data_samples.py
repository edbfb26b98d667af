"""The rules about inputs, samples and waiting for data on constructed facts: what they say, where they keep still."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from constructed import fired, result
from data_runs import CHANCE, run

from advisor.evidence import Evidence

INPUT: dict[str, Any] = {"layer": "0", "kind": "Linear", "features": 10, "mean": 0.0, "std": 1.0}
INPUT |= {"largest": 1.0, "smallest": 0.9, "offset": 0.1}
TRAIN: dict[str, Any] = {"data_set": 1000, "shared": 0, "given": 1000, "read": 1000, "distinct": 1000, "copies": 0.0}
TRAIN |= {"again": 1.0, "same_order": False, "sampler": "RandomSampler"}
VAL: dict[str, Any] = {"given": 200, "read": 200, "in_training": 0, "again": 1.0, "same_targets": True, "change": 0.0}
VAL |= {"stream": False, "bits": 200.0, "shared_indices": None}
COMPARED: dict[str, Any] = {"level": "model", "train_rows": 1000, "val_rows": 1000, "features": 10, "train_mean": 0.0}
COMPARED |= {"train_std": 1.0, "val_mean": 0.0, "val_std": 1.0, "shift": 0.1, "shifted_feature": 3}
COMPARED |= {"typical_shift": 0.05, "spread": 1.0}


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


# ------------------------------------------------------------------------------------------------------------ waiting


@pytest.mark.parametrize(
    ("change", "expected"),
    [({}, "fired"), ({"share": 0.2}, "clear"), ({"seconds": 0.5}, "clear"), ({"per_sample": 2e-5}, "clear")],
)
def test_waiting_for_data_must_matter(change: dict[str, Any], expected: str) -> None:
    """Most of the time, some seconds, and more than stacking tensors takes."""
    wait = {"seconds": 60.0, "share": 0.8, "per_sample": 0.003, "epochs": 5, "workers": 0, **change}
    assert result("data_loading_bottleneck", run({"data_wait": wait})) == expected
