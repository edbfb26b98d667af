"""Trainings held back by rate, decay, layers or batches: constructed runs, and what looks like them and is none."""

from __future__ import annotations

import numpy as np
import pytest
from constructed import GUESS, fired, made, result

from advisor.evidence import Evidence
from advisor.record import Json

# --------------------------------------------------------------------------------------- learning_rate_collapsed


def scheduled(
    rates: list[float], losses: list[float], fit: float = 0.3, *, step_based: bool = False, **facts: Json
) -> Evidence:
    return made(
        step_based=step_based,
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


def test_a_loop_that_counts_steps_has_no_epochs_to_step_by() -> None:
    """Neither are they named, nor is the scheduler to be stepped once in each."""
    rates = [1e-4 * 1e-3**k for k in range(10)]
    finding = fired("learning_rate_collapsed", scheduled(rates, STOPPED, step_based=True, scheduler_steps=26))
    assert finding.message.startswith("The learning rate collapsed: after 10% of the steps it was")
    assert finding.first_step == "Make the schedule as long as the run, or its decay slower."


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
