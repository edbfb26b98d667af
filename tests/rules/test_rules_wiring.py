"""The rules on gradients, parameters and steps, on constructed runs: what is accused, and what is left alone.

Loops as people write them are in tests/instruments, beside what measures them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from constructed import fired, made, result

from advisor.evidence import Evidence

EPOCHS = 10
CUT = 0.01 * (1.0 + 0.3 * np.sin(np.arange(EPOCHS)))  # to about a hundredth, by how large the gradient was
LAYERS = (("0", "Linear", 900), ("1", "Linear", 100))
SCORES = {"chance_score": 0.1, "classes": 10}


def clipped(kind: str = "SGD", **change: Any) -> Evidence:
    """Steps of 1e-4 of the weights along gradients cut to a hundredth; the loss goes from 2.3 to 2.2."""
    series = {
        "kept_gradient": CUT,
        "update_ratio": np.full((EPOCHS, 2), 1e-4),
        "train_loss": np.linspace(2.3, 2.2, EPOCHS),
        "step_loss": np.full(EPOCHS, 2.3),
        **change,
    }
    return made(facts={"optimizer": [{"class": kind}]}, **series)


def test_steps_cut_to_nothing_are_excessive_clipping() -> None:
    """All of them, to a hundredth; the first step says at which norm to clip instead."""
    finding = fired("excessive_clipping", clipped())
    assert finding.numbers[0].value == 1.0
    assert finding.numbers[1].value == pytest.approx(np.median(CUT), rel=1e-6)
    assert f"about {1 / np.median(CUT):.0f} times" in finding.first_step


@pytest.mark.parametrize(
    "run",
    [
        clipped("Adam"),
        clipped("LBFGS"),
        clipped(kept_gradient=30 * CUT),
        clipped(kept_gradient=np.where(np.arange(EPOCHS) < 4, CUT, 1.0)),
        clipped(kept_gradient=np.full(EPOCHS, 0.01)),
        clipped(update_ratio=np.full((EPOCHS, 2), 1e-2)),
        clipped(train_loss=np.linspace(2.0, 0.1, EPOCHS)),
        clipped(kept_gradient=np.zeros(EPOCHS)),
    ],
    ids=[
        "Adam divides by the size",
        "LBFGS searches for its step",
        "to a third",
        "four steps in ten",
        "a constant factor",
        "a rate to match: steps of 1e-2",
        "trained all the same",
        "cleared, which is another fault",
    ],
)
def test_clipping_that_does_no_harm_is_left_alone(run: Evidence) -> None:
    """Each differs from the fault in one respect."""
    assert result("excessive_clipping", run) == "clear"


@pytest.mark.parametrize(
    ("leftover", "expected"),
    [
        ([0.0, 0.8, 0.7, 0.9, 0.8], "fired"),
        ([0.8, 0.0, 0.0, 0.0, 0.0], "clear"),
        ([0.0, 0.8, 0.0, 0.8, 0.0], "clear"),
        ([0.0, 1e-5, 1e-5, 1e-5, 1e-5], "clear"),
        ([0.0, np.nan, np.nan, np.nan, 0.9], "clear"),
        ([0.0, 0.9], "clear"),
    ],
    ids=["always", "before the run", "every other step", "scaled away", "seen once", "a run of two steps"],
)
def test_gradients_left_over(leftover: list[float], expected: str) -> None:
    """More than a tenth in more than half of the steps, the first left out."""
    assert result("missing_zero_grad", made(train_loss=[1.0], leftover_gradient=leftover)) == expected


@pytest.mark.parametrize(
    ("kept", "expected"),
    [([0.0] * 6, "fired"), ([1.0, 0.0, 1.0, 0.0], "clear"), ([1e-6] * 6, "clear"), ([np.nan] * 6, "clear")],
    ids=["always", "every other step", "small", "no gradient at all"],
)
def test_gradients_cleared(kept: list[float], expected: str) -> None:
    """Exactly zero at the step, where backward left something."""
    assert result("gradients_cleared_before_step", made(train_loss=[1.0], kept_gradient=kept)) == expected


@pytest.mark.parametrize(
    ("loop", "expected"),
    [
        ({"losses": 100, "backward": True, "steps": False, "moved": False}, "fired"),
        ({"losses": 100, "backward": True, "steps": False, "moved": True}, "clear"),
        ({"losses": 100, "backward": True, "steps": False, "moved": None}, "clear"),
        ({"losses": 4, "backward": True, "steps": False, "moved": False}, "clear"),
        ({"losses": None, "backward": False, "steps": True, "moved": False}, "fired"),
        ({"losses": None, "backward": True, "steps": True, "moved": False}, "clear"),
    ],
    ids=["no step", "moved by hand", "no parameters", "a few losses", "no backward", "steps that do nothing"],
)
def test_no_steps(loop: dict[str, Any], expected: str) -> None:
    """Losses, and weights that stay where they are because nothing tries to move them."""
    assert result("no_training_steps", made(train_loss=[1.0], facts={"loop": loop})) == expected


@pytest.mark.parametrize(
    ("frozen", "fresh", "score", "expected"),
    [
        (["0"], ["0", "1"], 0.3, "fired"),
        (["0"], ["1"], 0.3, "clear"),
        (["0"], ["0", "1"], 0.9, "clear"),
        (["1"], ["0", "1"], 0.3, "clear"),
        ([], ["0", "1"], 0.3, "clear"),
    ],
    ids=["random", "trained before", "random and good enough", "a tenth of the model", "nothing"],
)
def test_what_is_frozen(frozen: list[str], fresh: list[str], score: float, expected: str) -> None:
    """Layer 0 has nine tenths of the parameters."""
    facts = {**SCORES, "frozen_layers": frozen, "fresh_layers": fresh}
    run = made(layers=LAYERS, facts=facts, train_loss=[1.0], clean_train_accuracy=[score])
    assert result("frozen_parameters", run) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[5, 5], [5, 5]], "fired"),
        ([[5, 0], [5, 0]], "clear"),
        ([[5, 5], [20, 0]], "clear"),
        ([[1, 1]], "clear"),
    ],
    ids=["all held", "none held", "held in one epoch", "a single graph"],
)
def test_graphs_that_are_held(rows: list[list[int]], expected: str) -> None:
    """More than half of those that were looked for, over all epochs."""
    axis = (("looked_at", "", 0), ("held", "", 0))
    assert result("graph_kept_alive", made(layers=axis, train_loss=[1.0], kept_graphs=rows)) == expected


def test_memory_that_grew_is_said() -> None:
    """In megabytes, of the process or of the device, whichever gained more."""
    memory = np.array([[100.0, 0.0], [160.0, 90.0]]) * 2**20
    axis = (("looked_at", "", 0), ("held", "", 0))
    run = made(layers=axis, train_loss=[1.0], kept_graphs=[[5, 5], [5, 5]], memory=memory)
    assert fired("graph_kept_alive", run).numbers[1].text == "memory grew by 90 MB since epoch 0"
