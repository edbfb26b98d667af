"""Layers behind a `round` or a `sign`: their gradient is there, and it is 0."""

from __future__ import annotations

from typing import Any

import numpy as np
from constructed import fired, made, result

from advisor.evidence import Evidence

LAYERS = (("encoder", "Linear", 400), ("head", "Linear", 40))
GRADIENTS = np.array([[0.0, 0.8], [0.0, 0.9], [0.0, 0.5], [0.0, 0.4]])


def trained(gradients: Any = GRADIENTS, **facts: Any) -> Evidence:
    """Two fresh layers, of which the first never had a gradient other than 0."""
    usual = {name: [] for name in ("layers_without_gradient", "called_layers", "frozen_layers")}
    whole = {**usual, "fresh_layers": ["encoder", "head"], "steps_looked_at": 4, "flat_operations": ["round"], **facts}
    return made(layers=LAYERS, facts=whole, grad_norm=gradients, train_loss=[1.0, 0.9, 0.8, 0.7])


def test_a_layer_below_a_step_function_is_cut_off() -> None:
    """The finding names the operation and the layer."""
    finding = fired("parameters_without_gradient", trained())
    assert finding.layers == ("encoder",)
    assert "No gradient passes the round in the graph: that of 1 of 2 layers (encoder)" in finding.message


def test_a_gradient_of_zero_is_no_cut_by_itself() -> None:
    """Dead units have it too; a straight-through estimator lets one through; a trained layer may be left as it is."""
    assert result("parameters_without_gradient", trained(flat_operations=[])) == "clear"
    assert result("parameters_without_gradient", trained(GRADIENTS + np.eye(4, 2))) == "clear"
    assert result("parameters_without_gradient", trained(fresh_layers=["head"])) == "clear"
