"""A loop without loaders that evaluates its training samples too: they are no validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import advisor

N, HELD_OUT, SIZE = 96, 32, 8


class Hand:
    """Data and a model; `run` trains on batches cut by a permutation and then lets the test evaluate."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(N + HELD_OUT, 4, generator=generator)
        y = (x[:, 0] + 0.5 * torch.randn(len(x), generator=generator) > 0).long()
        self.train, self.val = (x[:N], y[:N]), (x[N:], y[N:])
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    def loss(self, data: tuple[Tensor, Tensor]) -> float:
        return float(functional.cross_entropy(self.model(data[0]), data[1]))

    def run(self, evaluate: Callable[[], Any], epochs: int = 4) -> Any:
        optimizer = torch.optim.Adam(self.model.parameters(), 0.02)
        watch = advisor.watch(range(epochs), self.model, optimizer, report=False)
        for _ in watch:
            self.model.train()
            for rows in torch.randperm(N).split(SIZE):
                optimizer.zero_grad()
                functional.cross_entropy(self.model(self.train[0][rows]), self.train[1][rows]).backward()
                optimizer.step()
            self.model.eval()
            with torch.no_grad():
                evaluate()
        assert watch.record.problems == ()
        return watch.record


def cut(data: tuple[Tensor, Tensor], size: int) -> list[tuple[Tensor, Tensor]]:
    return list(zip(data[0].split(size), data[1].split(size), strict=True))


@pytest.mark.parametrize("size", [N, SIZE], ids=["whole", "in batches"])
def test_an_evaluation_of_the_training_samples_is_left_out(size: int) -> None:
    """From the second epoch on `val_loss` is that of the held-out samples, in whichever order the two come."""
    hand, expected = Hand(), []

    def evaluate() -> None:
        for part in cut(hand.train, size):
            hand.loss(part)
        expected.append(np.mean([hand.loss(part) for part in cut(hand.val, SIZE)]))

    record = hand.run(evaluate)
    assert record.epochs["val_loss"].to_numpy()[1:] == pytest.approx(expected[1:], rel=1e-5)
    assert record.facts["val_samples"] == HELD_OUT
    assert record.facts["evaluated"] == {"given": HELD_OUT, "in_training": 0, "copies": 0.0}


def test_where_nothing_else_is_evaluated_it_stays_and_is_said() -> None:
    """A loop that takes the training samples for validation: all of what it evaluates are copies."""
    hand, expected = Hand(), []
    record = hand.run(lambda: expected.append(hand.loss(hand.train)))
    assert record.epochs["val_loss"].to_numpy() == pytest.approx(expected, rel=1e-5)
    assert record.facts["evaluated"] == {"given": N, "in_training": N, "copies": 0.0}


def test_a_part_of_the_training_samples_is_no_evaluation_of_them() -> None:
    """Held-out batches that are copies of some training samples are a leak: they count, and are told."""
    hand = Hand()
    hand.val = tuple(torch.cat([t[:8], v[8:]]) for t, v in zip(hand.train, hand.val, strict=True))  # type: ignore[assignment]
    record = hand.run(lambda: [hand.loss(part) for part in cut(hand.val, SIZE)])
    assert record.facts["evaluated"] == {"given": HELD_OUT, "in_training": 8, "copies": 0.0}
    assert record.facts["val_samples"] == HELD_OUT


def test_inputs_of_a_few_codes_are_not_told_apart() -> None:
    """Where training samples repeat by themselves, an evaluation that has the same ones is validation all the same."""
    hand = Hand()
    hand.train, hand.val = ((x.sign(), y) for x, y in (hand.train, hand.val))
    record = hand.run(lambda: (hand.loss(hand.train), hand.loss(hand.val)))
    assert record.facts["val_samples"] == N + HELD_OUT
    assert "evaluated" not in record.facts
