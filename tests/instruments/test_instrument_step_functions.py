"""The operations of a step's graph through which no gradient passes -> the fact `flat_operations`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import advisor


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        (torch.round, ["round"]),
        (torch.sign, ["sign"]),
        (lambda h: h + (torch.round(h) - h).detach(), []),
        (torch.relu, []),
    ],
    ids=["round", "sign", "straight through", "relu"],
)
def test_step_functions_are_named(between: Callable[[Tensor], Tensor], expected: list[str]) -> None:
    """A step function in the graph is named; one that is detached, with its input added, is not in the graph."""
    first, second = nn.Linear(2, 3), nn.Linear(3, 1)
    model = nn.Sequential(first, second)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    watch = advisor.watch(range(1), model, optimizer, report=False)
    for _ in watch:
        optimizer.zero_grad()
        functional.mse_loss(second(between(first(torch.ones(4, 2)))), torch.zeros(4, 1)).backward()
        optimizer.step()
    assert expected == watch.record.facts["flat_operations"]
