"""Pairs of output, loss and target, as facts -> the rules about them: what they say, and what they leave alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
from constructed import FALLING, fired, made, result

from advisor.evidence import Evidence


def reached(name: str, *, task: Any = "multiclass", score: float = 0.5, **facts: Any) -> Evidence:
    """A run whose only loss function got this; all else is as a healthy cross entropy of ten classes has it."""
    usual = {
        "measures": name,
        "output_shape": [32, 10],
        "target_shape": [32],
        "target_dtype": "int64",
        "last": ["linear"],
        "output": [-3.0, 3.0],
        "zeros": 0.0,
        "sums_off": [40.0, 5.0],
        "exp_sums_off": [100.0, 20.0],
        "target": [0.0, 9.0],
        "target_integer": True,
        "target_sums_off": [100.0],
        "target_varies": True,
        "target_outside": 0.0,
        "distinct": 10,
        "most_common": 1.5,
        "steps": 8,
    }
    scores = {"clean_train_r2" if task == "regression" else "clean_train_accuracy": [score] * 4}
    return made(
        task=task,
        facts={"loss_inputs": [{"name": name, **usual, **facts}], "chance_score": 0.0},
        train_loss=FALLING,
        **scores,
    )


ONE_HOT = {
    "target_shape": [32, 10],
    "target_dtype": "float32",
    "target": [0.0, 1.0],
    "target_sums_off": [9.0, 0.0],
    "distinct": 2,
    "most_common": 9.0,
}
COLUMN = {"output_shape": [32, 1], "target_shape": [32, 1], "target_dtype": "float32"}
SOFTMAX = {"last": ["softmax", "linear"], "output": [0.0, 1.0], "bounds": [0.0, 1.0]}
RULES = (
    "probabilities_into_logits_loss",
    "logits_into_probability_loss",
    "wrong_loss_for_task",
    "prediction_target_broadcast",
    "softmax_over_wrong_dimension",
    "output_range_mismatch",
)

RIGHT: dict[str, tuple[str, dict[str, Any]]] = {
    "logits into cross_entropy": ("cross_entropy", {}),
    "log_softmax into cross_entropy, which changes nothing": (
        "cross_entropy",
        {"last": ["log_softmax"], "bounds": [None, 0.0], "softmax": [1, [32, 10]], "exp_sums_off": [9.0, 1e-6]},
    ),
    "log_softmax into nll_loss": (
        "nll_loss",
        {"last": ["log_softmax"], "bounds": [None, 0.0], "softmax": [1, [32, 10]], "exp_sums_off": [9.0, 1e-6]},
    ),
    "probabilities in a log by hand into nll_loss": ("nll_loss", {"last": ["Log"], "exp_sums_off": [9.0, 1e-6]}),
    "logits that a temperature scales after a tanh": ("cross_entropy", {"last": ["mul", "tanh"], "bounds": [-20, 20]}),
    "soft labels": ("cross_entropy", {**ONE_HOT, "target_integer": False, "target_sums_off": [9.0, 1e-6]}),
    "one-hot rows under a binary cross entropy": ("binary_cross_entropy_with_logits", ONE_HOT),
    "sigmoid into binary_cross_entropy": (
        "binary_cross_entropy",
        {**COLUMN, "last": ["sigmoid"], "bounds": [0, 1], "ends": 0.0, "target": [0.0, 1.0], "distinct": 2},
    ),
    "a sigmoid kept off 0 and 1 by a clamp": (
        "binary_cross_entropy",
        {**COLUMN, "last": ["clamp", "sigmoid"], "bounds": [1e-6, 1], "ends": 0.3, "target": [0.0, 1.0]},
    ),
    "an autoencoder of grey values": (
        "mse_loss",
        {"output_shape": [32, 64], "target_shape": [32, 64], "last": ["sigmoid"], "bounds": [0, 1], "target": [0, 1],
         "target_integer": False, "distinct": 17, "target_sums_off": [9.0, 20.0]},
    ),
    "counts in a column": ("mse_loss", {**COLUMN, "target": [0.0, 24.0], "distinct": 23, "most_common": 65.0}),
    "a ReLU for targets that are not negative": (
        "mse_loss",
        {**COLUMN, "last": ["relu"], "bounds": [0.0, None], "zeros": 0.4, "target": [0.0, 7.3], "target_integer": False,
         "distinct": 900},
    ),
    "a critic whose targets are constant in a call": (
        "mse_loss", {**COLUMN, "target": [0.0, 1.0], "distinct": 2, "target_varies": False},
    ),
    "three quantiles of one target": (
        "pinball", {"own": True, "measures": "", "output_shape": [32, 3], "target_shape": [32, 1], "enlarged": None},
    ),
    "a softmax over the pixels of heat maps": (
        "mse_loss",
        {"output_shape": [8, 17, 4096], "target_shape": [8, 17, 4096], "softmax": [2, [8, 17, 4096]], **SOFTMAX,
         "sums_off": [1.0, 1.0, 1e-6], "target_integer": False, "target": [0, 1], "target_sums_off": [5, 5, 0.0]},
    ),
    "distillation": (
        "kl_div",
        {"last": ["log_softmax"], "bounds": [None, 0.0], "softmax": [1, [32, 10]], "exp_sums_off": [9.0, 1e-6],
         "target_integer": False, "target_shape": [32, 10], "target": [0.0, 1.0], "target_sums_off": [9.0, 0.0]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("case", RIGHT.values(), ids=list(RIGHT))
def test_what_belongs_together_is_left_alone(rule: str, case: tuple[str, dict[str, Any]]) -> None:
    """Pairs of output, loss and target that are right, also unusual ones, are clear to every rule."""
    name, facts = case
    assert result(rule, reached(name, **facts)) == "clear"


def test_probabilities_of_ten_classes_cost_at_least_1_46() -> None:
    """The floor that the finding names is the cross entropy of a one-hot vector: ln(e + 9) - 1."""
    run = reached("cross_entropy", **SOFTMAX, softmax=[1, [32, 10]], sums_off=[9.0, 1e-6])
    finding = fired("probabilities_into_logits_loss", run)
    assert finding.numbers[0].value == pytest.approx(math.log(math.e + 9) - 1)
    assert "1.46" in finding.message


def test_probabilities_are_known_by_their_sums_too() -> None:
    """A softmax that was written out by hand shows in the sums over the classes."""
    run = reached("cross_entropy", last=["div"], output=[0.0, 1.0], sums_off=[9.0, 1e-6])
    assert fired("probabilities_into_logits_loss", run).confidence == 0.97


def test_a_sigmoid_before_a_loss_that_has_one_is_found() -> None:
    """binary_cross_entropy_with_logits after a sigmoid: a negative sample never costs less than ln 2."""
    run = reached("binary_cross_entropy_with_logits", **COLUMN, last=["sigmoid"], bounds=[0, 1], target=[0.0, 1.0])
    assert "0.69" in fired("probabilities_into_logits_loss", run).message
    assert result("output_range_mismatch", run) == "clear"


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({}, "raw scores"),
        ({**SOFTMAX, "sums_off": [9.0, 1e-6], "exp_sums_off": [40.0, 1.7]}, "plain probabilities"),
    ],
)
def test_nll_loss_wants_logarithms_of_probabilities(facts: dict[str, Any], what: str) -> None:
    """Raw scores and plain probabilities are told apart."""
    assert what in fired("logits_into_probability_loss", reached("nll_loss", **facts)).message


def test_a_clamp_is_no_sigmoid() -> None:
    """binary_cross_entropy behind a bare clamp, a third of whose results sit at an end."""
    run = reached("binary_cross_entropy", **COLUMN, last=["clamp", "linear"], bounds=[0, 1], ends=0.33, target=[0, 1])
    assert "33%" in fired("logits_into_probability_loss", run).message


def test_a_softmax_over_the_batch_is_not_called_raw_scores() -> None:
    """log_softmax(dim=0) into nll_loss: the dimension is the finding, and it explains the other."""
    facts = {"last": ["log_softmax"], "softmax": [0, [32, 10]], "output": [-9.0, 0.0], "exp_sums_off": [1e-6, 4.0]}
    run = reached("nll_loss", **facts)
    assert "dimension 0 of (32, 10)" in fired("softmax_over_wrong_dimension", run).message
    assert result("logits_into_probability_loss", run) == "clear"


def test_a_softmax_before_flattening_is_compared_by_its_size() -> None:
    """(N, T, C) normalised over T and flattened to (N T, C): the softmax has T entries and not C."""
    run = reached("nll_loss", output_shape=[96, 10], target_shape=[96], softmax=[1, [8, 12, 10]], last=["log_softmax"])
    assert "dimension 1 of (8, 12, 10)" in fired("softmax_over_wrong_dimension", run).message


def test_classes_that_lie_second_are_no_mistake() -> None:
    """(N, C, T) normalised over C is what cross-entropy losses of sequences want."""
    facts = {"output_shape": [8, 10, 12], "target_shape": [8, 12], "softmax": [1, [8, 10, 12]], "last": ["log_softmax"]}
    run = reached("nll_loss", **facts, exp_sums_off=[5.0, 1e-6, 5.0])
    assert result("softmax_over_wrong_dimension", run) == "clear"


def test_a_column_against_a_row_pairs_all_with_all() -> None:
    """(32, 1) and (32,) give (32, 32): 32 times as many pairs as targets."""
    run = reached("mse_loss", output_shape=[32, 1], target_shape=[32], enlarged=[32, 32], task="regression")
    finding = fired("prediction_target_broadcast", run)
    assert (finding.numbers[0].value, finding.confidence) == (32.0, 0.98)


@pytest.mark.parametrize(
    ("name", "facts", "text"),
    [
        ("cross_entropy", {"output_shape": [32, 1], "target": [0.0, 0.0]}, "single class"),
        ("cross_entropy", {**ONE_HOT, "target": [-2, 2], "target_integer": False, "target_sums_off": [3, 2]}, "by 2"),
        ("binary_cross_entropy_with_logits", {**COLUMN, "target": [0.0, 9.0]}, "no probabilities"),
        ("soft_margin_loss", {**COLUMN, "target": [0.0, 1.0], "distinct": 2}, "-1 and 1"),
    ],
)  # fmt: skip
def test_losses_that_cannot_be_right(name: str, facts: dict[str, Any], text: str) -> None:
    """They are findings however well the training went."""
    assert text in fired("wrong_loss_for_task", reached(name, score=1.0, **facts)).message


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({**ONE_HOT, **SOFTMAX}, "one-hot rows of 10"),
        ({**ONE_HOT}, "one-hot rows of 10"),
        ({**COLUMN, "distinct": 10}, "whole numbers from 0 to 9"),
        ({**COLUMN, "target": [0.0, 1.0], "distinct": 2}, "two classes"),
        ({**SOFTMAX, "own": True}, "labels of 10 classes"),
    ],
)
def test_distances_between_labels_are_a_finding_unless_they_work(facts: dict[str, Any], text: str) -> None:
    """The same loss is a problem at R² 0.5 and a note at 0.95."""
    poor = fired("wrong_loss_for_task", reached("mse_loss", task="regression", score=0.5, **facts))
    good = fired("wrong_loss_for_task", reached("mse_loss", task="regression", score=0.95, **facts))
    assert text in poor.message
    assert (poor.severity, good.severity) == ("problem", "note")


def test_targets_below_what_a_relu_gives() -> None:
    """Half of the targets are negative, and the model ends in a ReLU."""
    run = reached("mse_loss", **COLUMN, last=["relu"], bounds=[0.0, None], target=[-2.0, 2.0], target_outside=0.5)
    assert "50% of the targets" in fired("output_range_mismatch", run).message


def test_a_tanh_before_cross_entropy_can_never_be_sure() -> None:
    """Ten classes between -1 and 1: at best ln(1 + 9 e⁻²)."""
    run = reached("cross_entropy", last=["tanh"], bounds=[-1.0, 1.0])
    assert fired("output_range_mismatch", run).numbers[0].value == pytest.approx(math.log1p(9 * math.exp(-2)))


def test_a_relu_before_cross_entropy_matters_where_the_fit_is_poor() -> None:
    """Half of the logits are 0: a finding at half of the way to a perfect fit, none at nearly all of it."""
    facts = {"last": ["relu"], "bounds": [0.0, None], "zeros": 0.5}
    assert fired("output_range_mismatch", reached("cross_entropy", **facts)).confidence == 0.85
    assert result("output_range_mismatch", reached("cross_entropy", score=0.98, **facts)) == "clear"
