"""non_finite_loss, learning_rate_too_high, vanishing_gradients and dead_units on constructed runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from constructed import fired, made, result

from advisor.evidence import Evidence
from advisor.record import Json

NAN = float("nan")
GUESS: dict[str, Json] = {"loss": "cross_entropy", "classes": 10, "chance_score": 0.1}


def test_a_loss_that_grew_first_has_blown_up() -> None:
    """1, 10, 1000, NaN: the rate is blamed; after ordinary losses the inputs are."""
    grown = fired("non_finite_loss", made(train_loss=[NAN, NAN], step_loss=[1.0, 10.0, 1000.0, NAN]))
    assert (grown.since, grown.severity) == (4, "problem")
    assert "1e+03-fold" in grown.message
    assert "learning rate" in grown.first_step
    sudden = fired("non_finite_loss", made(train_loss=[1.0, NAN], step_loss=[1.0, 0.9, 1.1, NAN]))
    assert "detect_anomaly" in sudden.first_step


def test_the_step_is_the_one_that_the_run_counted() -> None:
    """Losses are sampled, the first NaN is not."""
    facts: dict[str, Json] = {"first_non_finite": {"where": "loss", "step": 17, "epoch": 1}}
    assert fired("non_finite_loss", made(train_loss=[1.0, NAN], step_loss=[1.0, 0.9], facts=facts)).since == 17


def test_a_skipped_batch_is_a_note() -> None:
    """The loop left out the step with the NaN and trained on."""
    facts: dict[str, Json] = {"first_non_finite": {"where": "loss", "step": 2, "epoch": 0}}
    finding = fired("non_finite_loss", made(train_loss=[NAN, 0.5], step_loss=[1.0, NAN, 0.8, 0.6, 0.5], facts=facts))
    assert finding.severity == "note"
    assert "finite again" in finding.message


def test_validation_alone_can_be_non_finite() -> None:
    """Infinite since epoch 1, with a finite training loss."""
    finding = fired("non_finite_loss", made(train_loss=[1.0, 0.9, 0.8], val_loss=[1.0, np.inf, np.inf]))
    assert "since epoch 1" in finding.message


def test_finite_losses_are_clear() -> None:
    """However large."""
    assert result("non_finite_loss", made(train_loss=[1e30, 1e30], val_loss=[1.0, 1.0])) == "clear"


# ---------------------------------------------------------------------------------------- learning_rate_too_high


def training(loss: list[float], step: float, start: float = 2.4, **change: object) -> Evidence:
    """Ten classes; the second of 20 steps moved layer b by `step` of its length."""
    updates = np.full((20, 2), 1e-3)
    updates[1, 1] = step
    series: dict[str, object] = {
        "train_loss": loss,
        "update_ratio": updates,
        "weight_norm": np.ones((20, 2)),
        "step_loss": np.full(20, start),
        "layers": [("a", "Linear", 10), ("b", "Linear", 10)],
        "facts": GUESS,
    }
    return made(**{**series, **change})  # type: ignore[arg-type]  # arrays and facts by name


STUCK = [2.31, 2.31, 2.3, 2.31, 2.31, 2.3]


def test_stuck_at_guessing_after_a_long_step() -> None:
    """The loss stays at ln 10 and layer b was moved by three times its length."""
    finding = fired("learning_rate_too_high", training(STUCK, 3.0))
    assert "layer b by 3" in finding.message
    assert finding.confidence == 0.85


def test_guessing_counts_where_the_first_loss_was_higher() -> None:
    """Raw inputs: the first loss is 40, the network dies, and ln 10 is no progress."""
    assert result("learning_rate_too_high", training(STUCK, 3.0, start=40.0)) == "fired"
    assert result("learning_rate_too_high", training(STUCK, 3.0, start=40.0, facts={})) == "clear"


@pytest.mark.parametrize(
    ("loss", "step", "change"),
    [
        (STUCK, 0.1, {}),
        ([3.0, 1.0, 0.5, 0.3, 0.2, 0.2], 3.0, {}),
        ([2.0, 1.0, 9.0, 0.9, 0.6, 0.5], 3.0, {}),
        (STUCK, 3.0, {"weight_norm": np.tile([[1.0, 0.0]], (20, 1))}),
        (STUCK, 3.0, {"weight_norm": np.geomspace(1, 0.1, 20)[:, None] * np.ones((20, 2))}),
    ],
    ids=["ordinary steps", "it recovers", "a spike", "weights that began at zero", "weights that decay"],
)
def test_what_is_not_too_high(loss: list[float], step: float, change: dict[str, Any]) -> None:
    """A task without signal, a long step that did no harm, a spike, a layer that began at zero, decay."""
    assert result("learning_rate_too_high", training(loss, step, **change)) == "clear"


def test_a_loss_that_climbs_back_and_stays() -> None:
    """0.6 in epoch 1, above 2 for the last two: half of the first loss."""
    finding = fired("learning_rate_too_high", training([1.5, 0.6, 1.4, 2.0, 2.1, 2.2], 0.1))
    assert (finding.since, finding.confidence) == (1, 0.7)


def test_a_loss_that_became_nan_after_a_long_step() -> None:
    """After ordinary steps it is another rule's."""
    assert "NaN" in fired("learning_rate_too_high", training([2.0, NAN, NAN], 3.0)).message
    assert result("learning_rate_too_high", training([2.0, NAN, NAN], 0.1)) == "clear"


def test_a_range_test_confirms() -> None:
    """The rate in use is above the highest stable one; the first step names the suggested one."""
    probe = {"suggested": 0.01, "steepest": 0.02, "highest_stable": 0.05, "used": 0.5}
    finding = fired("learning_rate_too_high", training(STUCK, 3.0, facts={**GUESS, "probe.learning_rate_range": probe}))
    assert finding.confirmed_by == ("learning_rate_range",)
    assert finding.first_step == "Lower the learning rate from 0.5 to 0.01."


# ----------------------------------------------------------------------------------------- vanishing_gradients


def deep(gradients: list[float], updates: list[float], fit: float = 0.1, kinds: list[str] | None = None) -> Evidence:
    kinds = kinds or ["Linear"] * len(gradients)
    return made(
        layers=[(f"layer{i}", kind, 10) for i, kind in enumerate(kinds)],
        grad_norm=np.tile(gradients, (20, 1)),
        update_ratio=np.tile(updates, (20, 1)),
        clean_train_accuracy=[0.1, fit],
        facts=GUESS,
    )


def test_gradients_that_fall_off_towards_the_input() -> None:
    """1e-5, 1e-3, 1: the layers that stand still are named."""
    finding = fired("vanishing_gradients", deep([1e-5, 1e-3, 1.0], [1e-7, 1e-5, 1e-3]))
    assert finding.layers == ("layer0", "layer1")


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (deep([1e-2, 1e-1, 1.0], [1e-7, 1e-5, 1e-3]), "a hundredth"),
        (deep([1e-5, 1e-3, 1.0], [1e-3, 1e-3, 1e-3]), "Adam moves it all the same"),
        (deep([1e-5, 1e-3, 1.0], [1e-7, 1e-5, 1e-3], fit=0.9), "the data are fit"),
        (deep([1e-5, 1e-3, 1.0], [1e-7, 1e-5, 1e-3], kinds=["Linear", "LayerNorm", "Linear"]), "two layers"),
        (deep([0.0, 1e-2, 1e-1, 1.0], [0.0, 1e-5, 1e-3, 1e-3]), "the first is frozen"),
        (deep([1e-4, 1.0, 0.9, 0.8, 0.7], [1e-7] * 5), "only the inputs are small"),
    ],
)
def test_what_has_not_vanished(run: Evidence, why: str) -> None:
    """Layers are compared with each other, and only where it does harm."""
    assert result("vanishing_gradients", run) == "clear", why


# --------------------------------------------------------------------------------------------------- dead_units


def sparse(shares: list[list[float]], fit: float = 0.1, **facts: Json) -> Evidence:
    epochs = len(shares)
    return made(
        layers=[("a", "Linear", 10), ("b", "Linear", 10)],
        dead_units=shares,
        clean_train_accuracy=np.full(epochs, fit),
        facts={**GUESS, **facts},
    )


def test_a_dead_layer_of_a_network_that_does_not_learn() -> None:
    """Dead since epoch 1; the layer whose units were never seen (NaN) is not accused."""
    finding = fired("dead_units", sparse([[0.1, NAN], [0.9, NAN], [1.0, NAN], [1.0, NAN]]))
    assert (finding.layers, finding.since, finding.confidence) == (("a",), 1, 0.9)
    assert finding.confirmed_by == ()


@pytest.mark.parametrize("ignored", [True, False])
def test_zeros_in_place_of_the_inputs_confirm_that_nothing_comes_through(*, ignored: bool) -> None:
    """Where an output moves, something still does: the layer is dead all the same, and not confirmed."""
    finding = fired("dead_units", sparse([[1.0, NAN]] * 4, **{"probe.zeroed_inputs": {"ignored": ignored}}))
    assert ignored is ("zeroed_inputs" in finding.confirmed_by)


@pytest.mark.parametrize(
    ("shares", "fit"),
    [([[0.9, 0.2]] * 4, 0.95), ([[0.4, 0.2]] * 4, 0.1), ([[0.9, 0.2]] * 2 + [[0.1, 0.2]] * 2, 0.1)],
    ids=["it fits", "a minority", "they came back"],
)
def test_sparse_is_not_dead(shares: list[list[float]], fit: float) -> None:
    """A wide layer that fits its data with a tenth of its units is healthy."""
    assert result("dead_units", sparse(shares, fit)) == "clear"
