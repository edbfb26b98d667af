"""Inputs that are the same for every sample: no signal, and no matter of scale."""

from __future__ import annotations

from typing import Any

from constructed import fired, result
from data_runs import CHANCE, run

from advisor.evidence import Evidence

INPUT = {"layer": "0", "kind": "Linear", "features": 8, "mean": 0.0, "std": 0.0, "largest": 0.0, "smallest": None}
SAME: dict[str, Any] = {"features": 8, "train_rows": 900, "val_rows": 300, "shift": 0.0, "shifted_feature": 0}


def same(score: Any = CHANCE, **inputs: Any) -> Evidence:
    """No feature varies, and nothing is learnt."""
    facts = {"inputs": {**SAME, "typical_shift": None, "spread": None, **inputs}, "first_layer_input": INPUT}
    return run(facts, clean_train_accuracy=score, val_accuracy=score)


def test_inputs_that_never_vary_are_no_signal() -> None:
    """The finding says that all are the same; the scale of zeros is not to blame."""
    assert "all inputs are the same, each of the 8 features" in fired("no_signal", same()).message
    assert result("unscaled_inputs", same()) == "clear"


def test_inputs_that_vary_or_are_of_use_are_left_alone() -> None:
    """A constant mask beside tokens is a model's business as long as the model learns."""
    assert result("no_signal", same(typical_shift=0.1, spread=1.0)) == "clear"
    assert result("no_signal", same(score=[0.2, 0.6, 0.9, 0.9, 0.9, 0.9])) == "clear"
