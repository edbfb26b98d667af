"""The rules of signal, optimisation and fit on constructed runs: what fires, and what looks like it and is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from constructed import fired, made, result

from advisor.evidence import Evidence
from advisor.record import Json

NAN = float("nan")
GUESS: dict[str, Json] = {"loss": "cross_entropy", "classes": 10, "chance_score": 0.1}
CLEAN = {"checked": 100, "of": 100, "inputs": 0, "targets": 0, "kind": "", "columns": []}

# ------------------------------------------------------------------------ non_finite_inputs, non_finite_gradients


def broken(**change: Any) -> Evidence:
    """The gradient broke at step 16 and the loss at 17; the data are clean."""
    found: dict[str, Any] = {
        "phase": "train",
        "epoch": 1,
        "step": 17,
        "gradient_step": 16,
        "gradients_known": True,
        "before": [0.9, 0.8, 0.85],
        "first": 1.0,
        "given": [0, 12],
        "kept_targets": None,
        "data": CLEAN,
        "weights": ["0"],
    }
    facts = {"non_finite": {**found, **change}, "batch_size": 10, "singular_operations": ["sqrt"]}
    return made(train_loss=[0.9, NAN], facts=facts)


def test_missing_values_are_named_by_column() -> None:
    """Three of a hundred samples, in two columns."""
    run = broken(gradient_step=17, data={**CLEAN, "inputs": 3, "kind": "NaN", "columns": [2, 7]}, given=[2, 12])
    finding = fired("non_finite_inputs", run)
    assert "3 of 100 training inputs hold NaN, in columns 2 and 7;" in finding.message
    assert result("non_finite_gradients", run) == "clear"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "clear"),
        ({"given": [1, 12]}, "fired"),  # made in the loop, from clean data
        ({"data": {**CLEAN, "targets": 1, "kind": "NaN"}}, "fired"),
        ({"data": None, "kept_targets": [1, 4]}, "fired"),
        ({"data": {**CLEAN, "inputs": 10, "kind": "NaN"}}, "clear"),  # a tenth, and none of 120 that the model got
        ({"data": {**CLEAN, "inputs": 1, "kind": "NaN"}}, "fired"),  # one, which 120 samples need not have shown
        ({"phase": "val", "data": {**CLEAN, "inputs": 10, "kind": "NaN"}}, "fired"),
        ({"data": None, "given": None}, "clear"),
    ],
)
def test_where_in_the_data(change: dict[str, Any], expected: str) -> None:
    """In the data set, in what the loop made of it, or in neither."""
    assert result("non_finite_inputs", broken(**change)) == expected


def test_a_gradient_that_broke_first() -> None:
    """Since its own step, with the operation that may have done it."""
    finding = fired("non_finite_gradients", broken())
    assert finding.since == 16
    assert "an ordinary 0.85" in finding.message
    assert "sqrt" in finding.first_step


@pytest.mark.parametrize(
    "change",
    [
        {"gradient_step": 17},
        {"gradient_step": None},
        {"before": [1.0, 5.0, 50.0]},
        {"data": {**CLEAN, "inputs": 1}},
        {"given": [1, 12]},
    ],
    ids=["with the loss", "never", "the loss grew first", "data", "the model's inputs"],
)
def test_what_is_no_gradient_that_broke_first(change: dict[str, Any]) -> None:
    """The forward pass, a divergence, or NaN in the data."""
    assert result("non_finite_gradients", broken(**change)) == "clear"


def test_finite_runs_are_clear() -> None:
    """Without the fact every loss was a number: that was looked at, and is not missing."""
    run = made(train_loss=[1.0, 0.5])
    assert {result(rule, run) for rule in ("non_finite_inputs", "non_finite_gradients")} == {"clear"}


# -------------------------------------------------------------------------------------------- bad_initialization


def begun(scale: list[float], spread: list[list[float]], *, first: float = 2.3, fit: float = 0.1) -> Evidence:
    """Three linear layers."""
    return made(
        layers=[("a", "Linear", 10), ("b", "Linear", 10), ("c", "Linear", 10)],
        initial_scale=[scale],
        units_spread=spread,
        step_loss=[first, 2.3],
        clean_train_accuracy=[0.1, fit],
        facts=GUESS,
    )


USUAL = [[0.9, 0.9, 0.9]] * 3


def test_units_that_stay_alike() -> None:
    """Layers a and b; the output layer may begin at zero."""
    finding = fired("bad_initialization", begun([0.0, 0.0, 0.0], [[0, 0, 0], [0, 0, 0.9]]))
    assert finding.layers == ("a", "b")
    assert "all zero" in finding.message
    assert "all the same" in fired("bad_initialization", begun([1.0, 0.5, 0.5], [[0, 0.9, 0.9]] * 3)).message


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (begun([1.0, 1.0, 0.0], [[0.9, 0.9, 0.0], [0.9, 0.9, 0.8]]), "a last layer of zeros"),
        (begun([0.0, 1.0, 1.0], [[0, 0.9, 0.9], [0.8, 0.9, 0.9]]), "they came apart"),
        (begun([0.0, 0.0, 0.0], [[0, 0, 0]] * 3, fit=0.9), "the data are fit"),
        (begun([28.0, 28.0, 28.0], USUAL, first=3.0), "no harm at the first step"),
        (begun([28.0, 28.0, 28.0], USUAL, first=90.0, fit=0.95), "it fits"),
        (begun([3.0, 3.0, 3.0], USUAL, first=90.0), "He's for wide outputs: the inputs are large"),
        (begun([1e-3, 1.0, 1.0], USUAL), "one small layer"),
    ],
)
def test_what_is_no_bad_initialization(run: Evidence, why: str) -> None:
    """Legal zeros, legal scales, and what did no harm."""
    assert result("bad_initialization", run) == "clear", why


def test_scales_that_are_far_off() -> None:
    """28 is a standard deviation of 1 over 784 inputs; a thousandth passes nothing."""
    assert "too large" in fired("bad_initialization", begun([28.0, 16.0, 16.0], USUAL, first=90.0)).message
    assert "too small" in fired("bad_initialization", begun([1e-3, 1e-3, 1e-3], USUAL)).message


# --------------------------------------------------------------------------------------- learning_rate_collapsed


def scheduled(rates: list[float], losses: list[float], fit: float = 0.3, **facts: Json) -> Evidence:
    return made(
        train_loss=losses,
        epoch_lr=rates,
        lr=[[0.1]] * 20,
        step_loss=[2.3, 2.3],
        clean_train_accuracy=[0.1, fit],
        facts={**GUESS, **facts},
    )


STOPPED = [2.2] + [2.1] * 9


def test_a_rate_that_was_gone_with_the_first_epoch() -> None:
    """ExponentialLR stepped 26 times in it."""
    finding = fired(
        "learning_rate_collapsed",
        scheduled([1e-4 * 1e-3**k for k in range(10)], STOPPED, scheduler="ExponentialLR", scheduler_steps=26),
    )
    assert "(ExponentialLR was stepped 26 times in the first epoch)" in finding.message
    assert (finding.since, finding.confidence) == (0, 0.95)


def test_a_rate_that_went_while_the_loss_still_fell() -> None:
    """A tenth an epoch: of the fall, half came with the second half of the rate spent."""
    rates = [0.01, 0.001, 1e-4, 1e-5] + [1e-6] * 6
    assert result("learning_rate_collapsed", scheduled(rates, [2.15, 2.05, 2.0, 2.0, *[2.0] * 6])) == "fired"


@pytest.mark.parametrize(
    ("rates", "losses", "fit"),
    [
        (list(0.05 * (1 + np.cos(np.pi * np.arange(1, 11) / 10))), STOPPED, 0.3),
        ([1e-4] * 9 + [0.1], STOPPED, 0.3),
        ([1e-4] * 10, STOPPED, 0.95),
        ([1e-4] * 10, [1.0] + [0.5] * 9, 0.3),
        ([0.1] * 4 + [1e-4] * 6, [1.5] + [1.45] * 9, 0.3),
        ([0.1 * 0.1 ** (k // 4) for k in range(10)], STOPPED, 0.3),
    ],
    ids=["cosine", "it came back", "the data are fit", "little was left", "at its floor first", "steps"],
)
def test_what_is_no_collapse(rates: list[float], losses: list[float], fit: float) -> None:
    """Schedules that end low, and losses that had stopped before."""
    assert result("learning_rate_collapsed", scheduled(rates, losses, fit)) == "clear"


# ---------------------------------------------------------------------- missing_nonlinearity, over_regularised


def stacked(pairs: list[list[str]], joints: int, fit: float = 0.5) -> Evidence:
    return made(clean_train_accuracy=[0.1, fit], facts={"linear_joints": pairs, "joints": joints})  # type: ignore[dict-item]


def test_layers_that_are_one_linear_map() -> None:
    """All of them: a problem where the data are not fit, a note where they are."""
    pairs = [["a", "b"], ["b", "c"]]
    assert fired("missing_nonlinearity", stacked(pairs, 2)).confidence == 0.95
    assert fired("missing_nonlinearity", stacked(pairs, 2, fit=0.99)).severity == "note"
    assert fired("missing_nonlinearity", stacked(pairs, 3)).confidence == 0.6
    assert result("missing_nonlinearity", stacked(pairs, 3, fit=0.99)) == "clear"


@pytest.mark.parametrize(("pairs", "joints"), [([], 0), ([], 3), ([["a", "b"]], 2), ([["a", "b"], ["b", "c"]], 9)])
def test_what_lacks_no_nonlinearity(pairs: list[list[str]], joints: int) -> None:
    """A single layer, a network, one joint of two, two of nine."""
    assert result("missing_nonlinearity", stacked(pairs, joints)) == "clear"


def decayed(decay: float, end: float, fit: float = 0.2, **facts: Json) -> Evidence:
    """A hundred steps at a rate of 0.1; the weights end at `end` of their first length."""
    group: Json = {"class": "SGD", "lr": 0.1, "weight_decay": decay, "momentum": 0.9}
    return made(
        train_loss=[2.3] * 10,
        epoch_lr=[0.1] * 10,
        weight_norm=np.geomspace(1.0, end, 100)[:, None],
        grad_norm=np.full((100, 1), 0.01),
        clean_train_accuracy=[0.1, fit],
        clean_train_loss=[1.0] * 10,
        facts={**GUESS, "optimizer": [group], **facts},
    )


def test_decay_that_holds_the_weights_down() -> None:
    """0.1 · 0.5 · 100 = 5: without a gradient e^-5 of the weights would be left."""
    finding = fired("over_regularised", decayed(0.5, 0.05))
    assert finding.numbers[0].value == pytest.approx(5.0)
    assert "to 0.005" in finding.first_step


@pytest.mark.parametrize(
    ("decay", "end", "fit"),
    [(0.5, 0.05, 0.95), (0.5, 0.9, 0.2), (1e-4, 0.05, 0.2), (0.0, 0.05, 0.2)],
    ids=["it fits", "weights did not shrink", "too weak to have done it", "none"],
)
def test_what_is_not_over_regularised(decay: float, end: float, fit: float) -> None:
    """Strength, shrinking and harm are needed together."""
    assert result("over_regularised", decayed(decay, end, fit)) == "clear"


@pytest.mark.parametrize(("rate", "expected"), [(0.9, "fired"), (0.5, "clear")])
def test_dropout_that_leaves_nothing(rate: float, expected: str) -> None:
    """The training loss is 2.3 times that of the same data in eval mode."""
    assert result("over_regularised", decayed(0.0, 1.0, dropout_rate=rate)) == expected


# ------------------------------------------------------------------------- saturated_units, exploding_gradients


@pytest.mark.parametrize(
    ("shares", "fit", "expected"),
    [([0.2, 0.9, 0.9, 0.9], 0.1, "fired"), ([0.9] * 4, 0.95, "clear"), ([0.9, 0.9, 0.9, 0.2], 0.1, "clear")],
    ids=["it does not fit", "it fits", "they came back"],
)
def test_saturation_that_does_harm(shares: list[float], fit: float, expected: str) -> None:
    """Since the middle of the run, and with a bad fit."""
    columns = np.stack([shares, np.full(4, NAN)], 1)
    run = made(saturated_units=columns, clean_train_accuracy=[0.1, 0.1, 0.1, fit], facts=GUESS)
    assert result("saturated_units", run) == expected


def exploded(ratios: list[float], losses: list[float], train: list[float], fit: float = 0.3) -> Evidence:
    return made(
        train_loss=train,
        gradient_peak=ratios,
        gradient_median=[1.0] * len(ratios),
        loss_at_peak=losses,
        clean_train_accuracy=[0.1, fit],
        facts=GUESS,
    )


LOST = [2.0, 1.0, 2.0, 2.0, 2.0]


def test_long_gradients_at_ordinary_losses() -> None:
    """Ten and eight times the usual length; the loss doubled since its best."""
    finding = fired("exploding_gradients", exploded([1.5, 10.0, 8.0, 2.0, 2.0], [1.0] * 5, LOST))
    assert (finding.since, finding.numbers[0].value) == (1, 8.0)


@pytest.mark.parametrize(
    ("ratios", "losses", "train", "fit"),
    [
        ([1.5, 10.0, 2.0, 2.0, 2.0], [1.0] * 5, LOST, 0.3),
        ([1.5, 10.0, 8.0, 2.0, 2.0], [1.0, 9.0, 7.0, 1.0, 1.0], LOST, 0.3),
        ([1.5, 10.0, 8.0, 2.0, 2.0], [1.0] * 5, [2.0, 1.5, 1.4, 1.3, 1.3], 0.3),
        ([1.5, 10.0, 8.0, 2.0, 2.0], [1.0] * 5, LOST, 0.95),
    ],
    ids=["once", "batches of outliers", "nothing was lost", "it fits"],
)
def test_what_does_not_explode(ratios: list[float], losses: list[float], train: list[float], fit: float) -> None:
    """One spike, outliers, no loss of what was learned, a rare hard sample among easy ones."""
    assert result("exploding_gradients", exploded(ratios, losses, train, fit)) == "clear"


# ----------------------------------------------------------- oscillating_loss, unstable_loss, momentum_too_high


def swinging(losses: list[float], *, scatter: float = 0.1, fit: float = 0.5, **change: Any) -> Evidence:
    facts = {**GUESS, "steps_per_epoch": 100, **change.pop("facts", {})}
    return made(
        train_loss=losses,
        train_loss_std=[scatter] * len(losses),
        clean_train_accuracy=[0.1, fit],
        facts=facts,
        **change,
    )


ZIGZAG = [2.0, 1.0, 0.5, 0.4, 0.6, 0.4, 0.7, 0.4, 0.6, 0.5]


def test_a_loss_that_goes_up_and_down() -> None:
    """Two of the last five steps from epoch to epoch are rises: of 0.4 to 0.7 and to 0.6."""
    finding = fired("oscillating_loss", swinging(ZIGZAG))
    assert finding.numbers[0].value == pytest.approx(2 / 5)


@pytest.mark.parametrize(
    "run",
    [
        swinging(ZIGZAG, fit=0.99),
        swinging(ZIGZAG, scatter=5.0),
        swinging([2.0, 1.5, 1.6, 1.4, 1.5, 1.2, 1.3, 1.0, 1.1, 0.9]),
        swinging([2.0, 1.0, 0.5, 0.41, 0.42, 0.41, 0.42, 0.41, 0.42, 0.42]),
        swinging(ZIGZAG, epoch_lr=[0.1, 0.2] * 5),
    ],
    ids=["it fits", "noise of few batches", "it still comes down", "small swings", "the rate swings"],
)
def test_what_does_not_oscillate(run: Evidence) -> None:
    """A tail, noise, progress, and a cyclic rate."""
    assert result("oscillating_loss", run) == "clear"


def leaping(leaps: list[float], memory: float = 0.7, **change: Any) -> Evidence:
    """Ten epochs at 0.2 with peaks that much higher; the first loss is 2."""
    peaks = [0.2 + leap for leap in leaps]
    return made(
        train_loss=[0.2] * 10,
        loss_peak=peaks,
        loss_median=[0.2] * 10,
        loss_memory=[memory] * 10,
        step_loss=[2.0] * 5,
        **change,
    )


def test_spikes_that_come_again() -> None:
    """Half of the first loss in epochs 4, 6 and 8."""
    finding = fired("unstable_loss", leaping([0, 0, 0, 0, 1.0, 0, 1.0, 0, 1.2, 0]))
    assert (finding.since, finding.numbers[0].value) == (4, pytest.approx(0.5))


@pytest.mark.parametrize(
    "run",
    [
        leaping([0, 0, 0, 0, 1.0, 0, 0, 0, 1.2, 0]),
        leaping([0, 0, 0, 0, 1.0, 0, 1.0, 0, 1.2, 0], memory=0.0),
        leaping([1.0, 1.0, 1.0, 0, 0, 0, 0, 0, 0, 0]),
        leaping([0, 0, 0, 0, 1.0, 0, 1.0, 0, 1.2, 0], epoch_lr=[0.1, 0.2] * 5),
        leaping([0, 0, 0, 0, 0.2, 0, 0.2, 0, 0.2, 0]),
    ],
    ids=["twice", "hard batches in no order", "at the beginning", "the rate leapt", "low"],
)
def test_what_is_not_unstable(run: Evidence) -> None:
    """Two spikes, outliers, a warm-up, restarts, small waves."""
    assert result("unstable_loss", run) == "clear"


def swung(momentum: float, losses: list[float] = ZIGZAG, kind: str = "SGD", fit: float = 0.5) -> Evidence:
    group: Json = {"class": kind, "lr": 0.1, "weight_decay": 0.0, "momentum": momentum}
    return swinging(losses, fit=fit, facts={"optimizer": [group]})


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (swung(0.995), "fired"),
        (swung(0.9), "clear"),
        (swung(0.995, kind="Adam"), "clear"),
        (swung(0.995, fit=0.99), "clear"),
        (swung(0.995, losses=list(np.geomspace(2.0, 0.4, 10))), "clear"),
    ],
    ids=["it swings", "usual", "Adam's beta is none", "it fits", "it comes down"],
)
def test_momentum_with_a_long_memory(run: Evidence, expected: str) -> None:
    """0.995 adds up 200 steps; that it swings as well is what makes it a fault."""
    assert result("momentum_too_high", run) == expected


# ------------------------------------------------------------------- batch_too_large, batch_too_small_for_batchnorm


def batched(size: int, losses: list[float], *, update: float = 1e-3, steps: int = 10, kind: str = "SGD") -> Evidence:
    group: Json = {"class": kind, "lr": 0.1, "weight_decay": 0.0, "momentum": 0.9}
    return made(
        train_loss=losses,
        step_loss=[2.3] * steps,
        update_ratio=np.full((steps, 2), update),
        facts={"batch_size": size, "train_samples": 1000, "steps_per_epoch": 1, "optimizer": [group]},
    )


LINE = list(np.linspace(2.3, 2.0, 10))


def test_an_epoch_of_one_step() -> None:
    """All 1000 samples in a batch, and the loss falls in a line."""
    assert "1000 of 1000 samples" in fired("batch_too_large", batched(1000, LINE)).message


@pytest.mark.parametrize(
    "run",
    [
        batched(50, LINE),
        batched(1000, [1.5, 0.9, *[0.5] * 8]),
        batched(1000, LINE, update=1e-6),
        batched(1000, LINE, steps=400),
        batched(1000, LINE, kind="LBFGS"),
    ],
    ids=["small", "it is fit", "tiny steps", "many steps", "LBFGS"],
)
def test_what_is_no_batch_too_large(run: Evidence) -> None:
    """A usual batch, a full batch that was enough, a rate that is too low, time enough, and LBFGS."""
    assert result("batch_too_large", run) == "clear"


def normalised(size: int, positions: int = 1, fit: float = 0.5, *, trains: bool = True) -> Evidence:
    layer: Json = {"layer": "bn", "positions": positions, "layers": 1}
    facts = {**GUESS, "batch_norm": layer, "batch_norm_trains": trains, "batch_size": size}
    return made(train_loss=[2.0, 1.0], clean_train_accuracy=[0.1, fit], facts=facts)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (normalised(2), "fired"),
        (normalised(32), "clear"),
        (normalised(2, positions=64), "clear"),
        (normalised(2, fit=0.99), "clear"),
        (normalised(2, trains=False), "clear"),
        (made(train_loss=[2.0, 1.0]), "clear"),
    ],
    ids=["two numbers", "thirty-two", "a map of 8 by 8", "it fits", "frozen", "no batch norm"],
)
def test_numbers_that_a_batch_norm_averages(run: Evidence, expected: str) -> None:
    """Samples times positions, where it does normalise by the batch, and did harm."""
    assert result("batch_too_small_for_batchnorm", run) == expected
