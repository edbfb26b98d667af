"""label_noise where the noise is only begun to be learnt, and validation falls already."""

from __future__ import annotations

import numpy as np
import pytest
from constructed import GUESS, fired, made

from advisor.evidence import Evidence

N = 12
FALLS = np.concatenate([np.full(6, 0.8), np.linspace(0.79, 0.70, 6)])


def noisy(score: np.ndarray[tuple[int], np.dtype[np.float64]], right: float) -> Evidence:
    """A third of the labels is contradicted at first; at the end so many training answers are right."""
    return made(
        contradicted=np.linspace(0.35, 0.2, N),
        clean_train_accuracy=np.linspace(0.5, right, N),
        val_accuracy=score,
        facts=GUESS,
    )


def test_validation_that_falls_below_what_training_never_reached() -> None:
    """From 0.80 to 0.72, while two training labels in three are known: clean labels would be known at least as well."""
    found = fired("label_noise", noisy(FALLS, 0.67))
    assert (found.severity, found.confidence) == ("problem", 0.75)
    assert "validation fell by 0.082" in found.message


@pytest.mark.parametrize(("score", "right"), [(FALLS, 0.85), (np.full(N, 0.8), 0.67)])
def test_noise_that_does_no_harm_yet_is_a_note(
    score: np.ndarray[tuple[int], np.dtype[np.float64]], right: float
) -> None:
    """Training labels known better than validation ever was may be overfitting; a validation that stays is unharmed."""
    assert fired("label_noise", noisy(score, right)).severity == "note"
