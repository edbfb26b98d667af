"""What a loss adds up, elements, terms and padding, as facts -> the rules about it: what they say, and what not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from constructed import FALLING, fired, made, result

from advisor.evidence import Evidence


def summed(losses: list[float], kind: str = "SGD", elements: int | None = 64) -> Evidence:
    facts = {"backward_root": {"summed": elements, "samples": 64}, "optimizer": [{"class": kind, "lr": 0.1}]}
    return made(task="regression", facts=facts, train_loss=losses, step_loss=[losses[0]] * 40)


def test_a_sum_is_found_where_it_harms() -> None:
    """A loss that does not fall, under plain SGD: 0.1 times 64 elements works like 6.4."""
    assert "6.4" in fired("sum_reduced_loss", summed([64.0, 63.0, 64.0, 65.0])).message


@pytest.mark.parametrize(
    "run",
    [
        summed([64.0, 20.0, 5.0, 4.0]),
        summed([64.0, 63.0, 64.0, 65.0], kind="Adam"),
        summed([64.0, 63.0, 64.0, 65.0], elements=None),
    ],
    ids=["a rate that fits it", "an optimizer that divides by the size", "a mean"],
)
def test_a_sum_that_does_no_harm_is_left_alone(run: Evidence) -> None:
    """It is a finding only with a failed training and a step that grows with the gradient."""
    assert result("sum_reduced_loss", run) == "clear"


def terms(main: float, other: float, *, weights: tuple[float, float] = (1.0, 1.0), reverse: bool = False) -> Evidence:
    """Two terms that stay where they are; the best constant answer to the first costs 2.3."""
    pair = [
        {"name": "cross_entropy", "weight": weights[0], "guess": 2.3},
        {"name": "rest", "weight": weights[1], "guess": None},
    ]
    values = np.tile([main, other], (40, 1))
    if reverse:
        pair, values = pair[::-1], values[:, ::-1]
    layers = tuple((str(term["name"]), "", 0) for term in pair)
    return made(facts={"loss_weights": list(pair)}, layers=layers, train_loss=FALLING, loss_terms=values)


def test_a_starved_first_term_is_a_finding() -> None:
    """The cross entropy is at 2.2 of 2.3 beside a term of 700."""
    finding = fired("dominant_loss_term", terms(2.2, 700.0))
    assert (finding.severity, "318 times" in finding.message) == ("problem", True)


@pytest.mark.parametrize(
    "run",
    [terms(2.2, 100.0), terms(0.5, 700.0), terms(700.0, 0.5)],
    ids=["less than a hundred times", "a term that is learned", "a small term without targets"],
)
def test_terms_of_unlike_size_are_left_alone(run: Evidence) -> None:
    """What is learned is not starved, and a penalty has nothing to learn."""
    assert result("dominant_loss_term", run) == "clear"


def test_a_small_weight_is_a_choice() -> None:
    """An auxiliary task of weight 0.01 that is not learned is a note."""
    run = terms(0.022, 700.0, weights=(0.01, 1.0), reverse=True)
    assert fired("dominant_loss_term", run).severity == "note"


def padded(**facts: Any) -> Evidence:
    usual = {"value": 0, "side": "end", "sequences": 256, "rows": 0.9, "share": 0.4, "interior": 0.0, "lengths": 12}
    return made(facts={"sequences": {**usual, "inputs": 1.0, **facts}}, train_loss=FALLING)


def test_padding_that_is_counted_is_found() -> None:
    """Four tenths of the targets are 0 at the end of rows of twelve lengths."""
    assert "ignore_index=0" in fired("padding_in_loss", padded()).first_step
    assert fired("padding_in_loss", padded(inputs=None)).confidence < fired("padding_in_loss", padded()).confidence


@pytest.mark.parametrize(
    "facts",
    [{"interior": 0.3}, {"lengths": 1}, {"share": 0.02}, {"rows": 0.2}, {"inputs": 0.1}],
    ids=["a frequent token", "blanks of a fixed length", "hardly any", "few rows", "inputs that go on"],
)
def test_ends_that_are_no_padding_are_left_alone(facts: dict[str, float]) -> None:
    """Each of the conditions is needed."""
    assert result("padding_in_loss", padded(**facts)) == "clear"
