"""overfitting where the validation loss never was below that of the first step, and its share of right answers was."""

from __future__ import annotations

import numpy as np
import pytest
from constructed import fired, made, result

from advisor.evidence import Evidence

N = 12  # epochs


def learned(accuracy: float) -> Evidence:
    """Two classes, half and half: known by heart after five epochs, the validation loss rises from the first on."""
    return made(
        train_loss=np.geomspace(0.69, 0.001, N),
        val_loss=np.linspace(0.7, 2.4, N),
        val_accuracy=np.linspace(0.5, accuracy, N),
        clean_train_accuracy=[0.5, 1.0],
        step_loss=np.geomspace(0.69, 0.001, N),
        facts={"val_samples": 800, "clean_train_samples": 500, "chance_score": 0.5, "classes": 2},
    )


def test_what_is_right_more_often_than_by_guessing_was_learned() -> None:
    """0.62 of 800 is seven standard errors above a half."""
    assert "since epoch 0" in fired("overfitting", learned(0.62)).message


@pytest.mark.parametrize("accuracy", [0.5, 0.52])
def test_where_nothing_but_the_training_data_was_learned_it_is_another_fault(accuracy: float) -> None:
    """No signal, or labels that do not belong to their inputs: nothing that a shorter training would keep."""
    assert result("overfitting", learned(accuracy)) == "clear"
