"""first_layer_input of a table with embeddings: the numbers that enter a layer beside them, as they were given."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import advisor

ROWS = 64


class Table(nn.Module):
    """A category and two numbers."""

    def __init__(self, *, scaled: bool = False) -> None:
        super().__init__()
        self.scaled = scaled
        self.category, self.out = nn.Embedding(4, 3), nn.Linear(5, 2)

    def forward(self, category: Tensor, numbers: Tensor) -> Tensor:
        numbers = numbers / 1000.0 if self.scaled else numbers
        logits: Tensor = self.out(torch.cat([self.category(category), numbers], 1))
        return logits


def described(model: nn.Module) -> Any:
    """What the record says of the first layer."""
    torch.manual_seed(0)
    numbers = torch.stack([torch.full((ROWS,), 3000.0), torch.randn(ROWS)], 1)
    rows = TensorDataset(torch.arange(ROWS) % 4, numbers, torch.arange(ROWS) % 2)
    train = DataLoader(rows, 8)
    watch = advisor.watch(range(2), model, torch.optim.SGD(model.parameters(), 1e-9), train=train, report=False)
    for _ in watch:
        model.train()
        for category, x, y in train:
            functional.cross_entropy(model(category, x), y).backward()
            model.zero_grad()
    assert watch.record.problems == ()
    return watch.record.facts.get("first_layer_input")


def test_numbers_beside_an_embedding_are_described() -> None:
    """The linear layer gets three columns of the embedding and the two of the table, one of them at 3000."""
    found = described(Table())
    assert (found["layer"], found["kind"], found["features"]) == ("out", "Linear", 5)
    assert found["largest"] == pytest.approx(3000.0)


def test_numbers_that_the_model_scales_are_not_described() -> None:
    """What enters the layer is a thousand times smaller than what the model was given: it is no input any more."""
    assert described(Table(scaled=True)) is None
