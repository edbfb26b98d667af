"""Faults that show faintly in data and wiring, and sound runs that look like them: constructed facts."""

from __future__ import annotations

from typing import Any

import numpy as np
from constructed import fired, made, result

from advisor.diagnosis import diagnose
from advisor.evidence import Evidence
from advisor.rulebook import load_rules

LEARNT = np.array([0.5, 0.9, 0.95, 0.97, 0.97, 0.97])
FALLING = np.array([2.0, 1.0, 0.5, 0.3, 0.2, 0.2])


def run(facts: dict[str, Any], **series: Any) -> Evidence:
    """Ten classes, six epochs; training and validation as good as can be unless it is said otherwise."""
    usual = {"train_loss": FALLING, "val_loss": FALLING, "clean_train_loss": FALLING}
    scores = {"clean_train_accuracy": LEARNT, "val_accuracy": LEARNT}
    whole = {"chance_score": 0.1, "classes": 10, "val_samples": 1000, "loss": "cross_entropy", **facts}
    return made(facts=whole, **{**usual, **scores, **series})


# ------------------------------------------------------------------------------------------------------------ sorting


def test_sorted_batches_whose_loss_leaps_are_a_problem() -> None:
    """The first loss is 2.0; it rises by 0.8 within each epoch, or by 0.1, though all is fit well in the end."""
    leaping = run({"batch_mixing": 0.1}, loss_peak=FALLING + 0.8, loss_median=FALLING)
    assert "leaps within an epoch by 40%" in fired("unshuffled_batches", leaping).message
    calm = run({"batch_mixing": 0.1}, loss_peak=FALLING + 0.1, loss_median=FALLING)
    assert fired("unshuffled_batches", calm).severity == "note"
    mixed = run({"batch_mixing": 0.9}, loss_peak=FALLING + 0.8, loss_median=FALLING)
    assert result("unshuffled_batches", mixed) == "clear"


def test_a_stream_is_not_told_to_shuffle_by_an_argument() -> None:
    """A loader of an IterableDataset raises where shuffle is True."""
    stream = {"batch_mixing": 0.1, "train_identities": {"sampler": "_InfiniteConstantSampler", "same_order": False}}
    assert "buffer" in fired("unshuffled_batches", run(stream)).first_step
    listed = {"batch_mixing": 0.1, "train_identities": {"sampler": "SequentialSampler", "same_order": True}}
    assert "shuffle=True" in fired("unshuffled_batches", run(listed)).first_step


# ------------------------------------------------------------------------------------------------------------- labels


def begun(reference: float, trained: float) -> Evidence:
    """Validation is at chance; so much of training is right, and a reference reaches so much of 256 samples."""
    probe = {"score": reference, "chance": 0.12, "samples": 256, "gain": 0.0, "error": 0.01}
    facts = {"probe.reference": probe, "clean_train_samples": 1000}
    return run(facts, val_accuracy=np.full(6, 0.1), clean_train_accuracy=np.full(6, trained))


def test_labels_that_a_reference_cannot_predict_either_are_no_signal() -> None:
    """0.19 is above guessing by nine standard errors: the model has begun to learn by heart."""
    assert "a plain reference reaches 0.110" in fired("no_signal", begun(0.11, 0.19)).message
    assert result("no_signal", begun(0.5, 0.19)) == "clear"  # there is a rule, which the model does not find
    assert result("no_signal", begun(0.11, 0.11)) == "clear"  # it learns nothing: the fault may be anywhere


def test_one_rare_class_of_many_is_seen_although_the_others_are_even() -> None:
    """Three per cent of four classes, an eighth of an equal share: the balance of all is 0.8."""
    classes = {"count": [330.0, 320.0, 320.0, 30.0], "recall": [0.95, 0.95, 0.95, 0.1]}
    classes |= {"predicted": [340.0, 330.0, 327.0, 3.0], "separation": [3.0, 3.0, 3.0, 1.4]}
    rare = run({"label_counts": {"count": [330.0, 320.0, 320.0, 30.0]}, "val_classes": classes})
    assert "0.12 of an equal share" in fired("class_imbalance", rare).numbers[0].text
    drawn = run({"label_counts": {"count": [330.0, 320.0, 320.0, 30.0]}, "val_classes": classes, "train_samples": 12})
    assert result("class_imbalance", drawn) == "clear"  # a draw of so few may leave a class out
    fewer = run({"label_counts": {"count": [330.0, 300.0, 270.0, 100.0]}, "val_classes": classes})
    assert result("class_imbalance", fewer) == "clear"


def test_a_later_validation_does_not_judge_an_early_model() -> None:
    """A loop of steps validates first in the third window: what its first model contradicts says nothing."""
    contradicted = np.array([0.6, 0.3, 0.0, 0.0, 0.0, 0.0])
    early = run({}, contradicted=contradicted, clean_train_accuracy=np.linspace(0.5, 1.0, 6))
    late = early._record.series["val_accuracy"]
    late.at[:] = late.at + 2
    assert result("label_noise", early) == "clear"


def test_classes_that_are_weighted_up_are_learnt_where_their_recall_says_so() -> None:
    """Accuracy 0.9 where always naming the larger class has 0.97; the mean recall is 0.85 over 970 and 30 samples."""
    facts = {"chance_score": 0.97, "classes": 2, "clean_train_samples": 1000}
    series = {"val_accuracy": np.full(6, 0.9), "clean_train_accuracy": np.full(6, 0.9)}
    unknown = run(facts, **series, lr=np.full(60, 0.1))
    assert diagnose(unknown, load_rules()).status == "not_enough_evidence"
    facts["val_classes"] = {"count": [970.0, 30.0]}
    known = run(facts, **series, lr=np.full(60, 0.1), val_balanced_accuracy=np.full(6, 0.85))
    assert diagnose(known, load_rules()).status == "healthy"


# ------------------------------------------------------------------------------------------------------------- wiring


def own_loss(**facts: Any) -> Evidence:
    """A loss that is written out as a function: a log_softmax of the whole output over the batch."""
    usual = {"name": "own", "own": True, "output_shape": [15, 3, 16, 16], "target_shape": [15, 16, 16]}
    usual |= {"target_dtype": "int64", "softmax": [0, [15, 3, 16, 16]], "last": ["convolution"]}
    return run({"loss_inputs": [{**usual, **facts}]})


def test_a_softmax_over_the_batch_within_a_loss_of_the_users_own() -> None:
    """Labels say where the classes lie; a square of pairs is normalised both ways on purpose."""
    assert "dimension 0 of (15, 3, 16, 16)" in fired("softmax_over_wrong_dimension", own_loss()).message
    assert result("softmax_over_wrong_dimension", own_loss(softmax=[1, [15, 3, 16, 16]])) == "clear"
    pairs = own_loss(output_shape=[16, 16], target_shape=[16], softmax=[0, [16, 16]])
    assert result("softmax_over_wrong_dimension", pairs) == "clear"
