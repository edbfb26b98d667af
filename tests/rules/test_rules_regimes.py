"""over_regularised, bad_initialization and learning_rate_too_high where the first signs of them are not there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from constructed import fired, made, result

from advisor.evidence import Evidence
from advisor.record import Json

GUESS: dict[str, Json] = {"loss": "cross_entropy", "classes": 10, "chance_score": 0.1}

# ---------------------------------------------------------------------------------------------- over_regularised


def decayed_by_adam(kind: str, *, gradient: float = 0.1, steps: int = 100, lr: float = 0.01) -> Evidence:
    """A weight decay of 1 on a hundred weights, a length of 1 at first and 0.01 at the end."""
    group: Json = {"class": kind, "lr": lr, "weight_decay": 1.0}
    return made(
        layers=[("a", "Linear", 100)],
        train_loss=[2.3] * (steps // 10),
        epoch_lr=[lr] * (steps // 10),
        weight_norm=np.geomspace(1.0, 0.01, steps)[:, None],
        grad_norm=np.full((steps, 1), gradient),
        clean_train_accuracy=[0.1, 0.2],
        facts={**GUESS, "optimizer": [group]},
    )


def test_adam_takes_a_rate_off_each_weight() -> None:
    """A hundred steps of 0.01 are ten times a weight of 0.1; the early pull, 0.3 over 0.1, is what counts then."""
    finding = fired("over_regularised", decayed_by_adam("Adam"))
    assert finding.numbers[0].text.startswith("early pull over the gradient")
    assert finding.numbers[0].value == pytest.approx(1.0 / 0.1 * 10 ** (-2 * 0.25), rel=0.05)


@pytest.mark.parametrize(
    "run",
    [
        decayed_by_adam("Adam", gradient=1.0),
        decayed_by_adam("Adam", lr=0.0001),
        decayed_by_adam("AdamW", lr=0.001),
    ],
    ids=["the gradient is longer", "no way to go that far", "decoupled: 0.001 · 1 · 100"],
)
def test_a_decay_that_cannot_have_done_it(run: Evidence) -> None:
    """The weights shrank, and not by the decay."""
    assert result("over_regularised", run) == "clear"


def dropped(rate: float, fit: float, **facts: Json) -> Evidence:
    """The training loss is that of the same data in eval mode."""
    return made(
        train_loss=[2.3] * 4,
        clean_train_loss=[2.3] * 4,
        clean_train_accuracy=[0.1, fit],
        facts={**GUESS, "dropout_rate": rate, **facts},
    )


LEARNABLE: Json = {"score": 0.8, "chance": 0.1, "samples": 256}
NOISE: Json = {"score": 0.12, "chance": 0.1, "samples": 256}


def test_a_model_that_has_given_up_under_dropout() -> None:
    """It answers as by guessing, with dropout or without, and the data can be learnt as far as is known."""
    assert "answers nearly as by guessing" in fired("over_regularised", dropped(0.95, 0.12)).message
    assert result("over_regularised", dropped(0.95, 0.12, **{"probe.reference": LEARNABLE})) == "fired"


@pytest.mark.parametrize(
    ("rate", "fit", "reference"),
    [(0.5, 0.12, LEARNABLE), (0.95, 0.4, LEARNABLE), (0.95, 0.12, NOISE)],
    ids=["half", "it learns", "nothing to learn"],
)
def test_dropout_that_is_not_to_blame(rate: float, fit: float, reference: Json) -> None:
    """The usual rate; a model that learns; data from which a plain reference learns nothing either."""
    assert result("over_regularised", dropped(rate, fit, **{"probe.reference": reference})) == "clear"


# -------------------------------------------------------------------------------------------- bad_initialization


def learnt_by_heart(scale: float, validation: float, first: float = 20.0) -> Evidence:
    """The training data are fit."""
    return made(
        layers=[("a", "Linear", 10), ("b", "Linear", 10)],
        initial_scale=[[scale, scale]],
        units_spread=[[0.9, 0.9]] * 3,
        step_loss=[first, 0.1],
        clean_train_accuracy=[0.5, 1.0],
        val_accuracy=[validation] * 3,
        facts=GUESS,
    )


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (learnt_by_heart(8.0, 0.7), "fired"),
        (learnt_by_heart(8.0, 0.95), "clear"),
        (learnt_by_heart(1.4, 0.7), "clear"),
        (learnt_by_heart(8.0, 0.7, first=2.4), "clear"),
    ],
    ids=["N(0, 1) over 64 inputs", "it generalises", "He et al.", "no harm at the first step"],
)
def test_a_large_start_that_ends_by_heart(run: Evidence, expected: str) -> None:
    """Scale, first loss and the gap to validation are needed together."""
    assert result("bad_initialization", run) == expected


# ---------------------------------------------------------------------------------------- learning_rate_too_high


def training(loss: list[float], step: float, start: float) -> Evidence:
    """The second of 20 steps moved the layer by `step` of its length."""
    updates = np.full((20, 1), 1e-3)
    updates[1] = step
    facts: dict[str, Any] = GUESS
    return made(
        train_loss=loss, update_ratio=updates, weight_norm=np.ones((20, 1)), step_loss=[start, start], facts=facts
    )


EARLY = [2.0, 1.6, 1.7, 1.75, 1.8, 1.8, 1.8, 1.85, 1.85]


@pytest.mark.parametrize(
    ("loss", "step", "expected"),
    [
        (EARLY, 2.0, "fired"),
        (EARLY, 0.1, "clear"),
        ([x / 2 for x in EARLY], 2.0, "clear"),
        ([2.0, 1.6, 1.7, 1.65, 1.6, 1.5, 1.4, 1.4, 1.4], 2.0, "clear"),
        ([1.8, 1.61, 1.6, 1.62, 1.61, 1.62, 1.61, 1.62, 1.62], 2.0, "clear"),
    ],
    ids=["after a long step", "after ordinary steps", "less than half is left", "it still fell", "at its noise"],
)
def test_a_loss_that_slides_back(loss: list[float], step: float, expected: str) -> None:
    """Of the 0.7 that the first epochs won, 0.2 is lost again, and three quarters of ln 10 are left."""
    assert result("learning_rate_too_high", training(loss, step, start=2.3)) == expected


@pytest.mark.parametrize(
    ("loss", "step", "expected"),
    [
        ([-0.1, -0.3, -0.2, -0.1, -0.1], 2.0, "clear"),
        ([-1.0, -3.0, 4.0, 5.0, 5.0], 2.0, "fired"),
        ([-1.0, -3.0, 4.0, 5.0, 5.0], 0.1, "clear"),
    ],
    ids=["a policy gradient", "a likelihood that diverged", "after ordinary steps"],
)
def test_losses_below_zero_have_no_half(loss: list[float], step: float, expected: str) -> None:
    """They have to end above the first loss, 0.01, after a long step."""
    assert result("learning_rate_too_high", training(loss, step, start=0.01)) == expected


# ------------------------------------------------------------------------------------------- exploding_gradients


def begun(kind: str, first: float, fit: float = 0.3) -> Evidence:
    """The longest gradient of the first epoch; 1 ever after."""
    return made(
        layers=[("a", kind, 10)],
        train_loss=[9.0, 2.0, 2.0, 2.0],
        gradient_peak=[first, 1.0, 1.0, 1.0],
        gradient_median=[1.0] * 4,
        loss_at_peak=[first, 1.0, 1.0, 1.0],
        clean_train_accuracy=[0.1, fit],
        facts=GUESS,
    )


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (begun("RNN", 1e5), "fired"),
        (begun("Linear", 1e5), "clear"),
        (begun("RNN", 30.0), "clear"),
        (begun("RNN", 1e5, fit=0.95), "clear"),
    ],
    ids=["recurrent", "feed-forward", "a steep beginning", "it was made good"],
)
def test_a_gradient_that_exploded_at_the_start(run: Evidence, expected: str) -> None:
    """Its loss was as large, so that it is no spike at an ordinary loss."""
    assert result("exploding_gradients", run) == expected
