"""A likelihood called as `loss_fn(target, output)`: a finding where the constants cannot be meant as the prediction."""

from __future__ import annotations

from typing import Any

import pytest
from constructed import FALLING, fired, made, result

from advisor.evidence import Evidence


def called(name: str, **facts: Any) -> Evidence:
    """A step that calls this loss with its target first."""
    one = {"name": name, "measures": name, "output_shape": [32, 10], "target_shape": [32, 10], "target_first": True}
    return made(facts={"loss_inputs": [{**one, **facts}]}, train_loss=FALLING)


WRONG: dict[str, dict[str, Any]] = {
    "kl_div": {"target": [0.01, 0.91], "last": ["log_softmax"]},
    "binary_cross_entropy": {"target": [0.0, 1.0], "target_integer": True},
    "binary_cross_entropy_with_logits": {"target": [0.0, 1.0], "target_integer": True},
    "cross_entropy": {"target": [0.0, 1.0], "target_integer": True},
}


@pytest.mark.parametrize(("name", "facts"), WRONG.items(), ids=list(WRONG))
def test_targets_in_the_place_of_the_prediction_are_said(name: str, facts: dict[str, Any]) -> None:
    """Zeros and ones are no logits, and a positive number is no logarithm of a probability."""
    finding = fired("wrong_loss_for_task", called(name, **facts))
    assert f"F.{name}(output, target)" in finding.first_step
    assert result("wrong_loss_for_task", called(name, **facts, target_first=False)) == "clear"


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("mse_loss", {"target": [0.0, 1.0], "target_integer": False}),
        ("kl_div", {"target": [-9.0, -0.1], "last": ["softmax"]}),
        ("cross_entropy", {"target": [-4.0, 7.0], "last": ["softmax"], "target_sums_off": [9.0, 0.0]}),
        ("binary_cross_entropy", {"target": [0.1, 0.9], "last": ["sigmoid"]}),
    ],
    ids=["a distance", "reverse divergence from a teacher", "teacher's logits", "teacher's probabilities"],
)
def test_what_may_stand_first_on_purpose_is_left_alone(name: str, facts: dict[str, Any]) -> None:
    """A distance is symmetric, and distillation asks for a divergence the other way round."""
    assert result("wrong_loss_for_task", called(name, **facts)) == "clear"


@pytest.mark.parametrize("name", ["nll_loss", "cross_entropy"])
def test_a_log_softmax_of_probabilities_is_a_second_softmax(name: str) -> None:
    """`nll_loss(log_softmax(softmax(x)))` is `cross_entropy(softmax(x))`; a log_softmax of logits is right."""
    facts = {"target_shape": [32], "target": [0.0, 9.0], "target_integer": True, "target_first": False}
    facts |= {"exp_sums_off": [9.0, 1e-6], "output": [-2.4, -2.1]}
    finding = fired("probabilities_into_logits_loss", called(name, **facts, last=["log_softmax", "softmax", "linear"]))
    assert f"log_softmax before {name} expects logits" in finding.message
    assert result("probabilities_into_logits_loss", called(name, **facts, last=["log_softmax", "linear"])) == "clear"
