"""The sum that backward begins at -> `loss_terms`, `loss_weights` and `backward_root`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import advisor

X = torch.tensor([[1.0], [3.0]])
Y = torch.tensor([[0.0], [0.0]])


def record(loss: Callable[[Tensor, Tensor], Tensor], given: Any = None) -> Any:
    """One step of a model that gives its input back."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    loader = DataLoader(TensorDataset(X, Y), 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    watch = advisor.watch(range(1), model, optimizer, given, train=loader, report=False)
    for _ in watch:
        for x, y in loader:
            loss(model(x), y).backward()
            optimizer.step()
    assert watch.record.problems == ()
    return watch.record


def mse(output: Tensor, target: Tensor) -> Tensor:
    """(1 + 9) / 2 = 5 here."""
    return functional.mse_loss(output, target)


def mae(output: Tensor, target: Tensor) -> Tensor:
    """(1 + 3) / 2 = 2 here."""
    return functional.l1_loss(output, target)


@pytest.mark.parametrize(
    ("loss", "names", "values", "weights"),
    [
        (lambda o, t: mse(o, t) + mae(o, t), ("mse_loss", "l1_loss"), [5, 2], [1, 1]),
        (lambda o, t: mse(o, t) + 0.1 * mae(o, t), ("mse_loss", "l1_loss"), [5, 0.2], [1, 0.1]),
        (lambda o, t: (2 * mse(o, t) - mae(o, t)) / 4, ("mse_loss", "l1_loss"), [2.5, 0.5], [0.5, -0.25]),
        (lambda o, t: mse(o, t) + 3 * o.abs().sum(), ("mse_loss", "rest"), [5, 12], [1, 1]),
        (lambda o, t: sum([mse(o, t), mse(o + 1, t)]), ("mse_loss", "mse_loss 2"), [5, 10], [1, 1]),
    ],
)
def test_terms_are_what_they_add_to_the_sum(loss: Any, names: Any, values: list[float], weights: list[float]) -> None:
    """Weights written as numbers are read from the graph; what calls no loss function is the rest."""
    run = record(loss)
    series = run.series["loss_terms"]
    assert series.axis == names
    assert series.values[0].tolist() == pytest.approx(values)
    assert [term["weight"] for term in run.facts["loss_weights"]] == pytest.approx(weights)


def test_one_term_is_no_sum() -> None:
    """A weighted loss alone has no terms to compare."""
    assert "loss_terms" not in record(lambda o, t: 0.5 * mse(o, t)).series


def test_terms_within_the_users_own_loss_are_seen() -> None:
    """A module that adds two losses up is looked into."""
    own = advisor.loss(lambda o, t: mse(o, t) + mae(o, t))
    assert record(own, own).series["loss_terms"].axis == ("mse_loss", "l1_loss")


def test_what_guessing_costs_is_the_variance_of_the_targets() -> None:
    """Targets 1 and 3: the mean is off by 1 each time."""
    run = record(lambda o, _: mse(o, X) + mae(o, X))
    assert run.facts["loss_weights"][0]["guess"] == pytest.approx(1.0)
    assert run.facts["loss_weights"][1]["guess"] is None


@pytest.mark.parametrize(
    ("loss", "summed"),
    [
        (mse, None),
        (lambda o, t: functional.mse_loss(o, t, reduction="sum"), 2),
        (lambda o, t: ((o - t) ** 2).sum(), None),  # the batch size is known from a loss function only
        (lambda o, t: functional.mse_loss(o, t, reduction="none").sum(), 2),
        (lambda o, t: functional.mse_loss(o, t, reduction="none").sum(1).mean(), None),
        (lambda o, t: functional.mse_loss(o, t, reduction="sum") / len(o), None),
        (lambda o, t: (functional.mse_loss(o, t, reduction="none") / len(o)).sum(), None),
    ],
)
def test_a_sum_over_the_batch_is_told_from_a_mean(loss: Any, summed: int | None) -> None:
    """By the graph: a division anywhere makes it a mean."""
    assert record(loss).facts["backward_root"]["summed"] == summed


def test_the_guess_follows_targets_that_change() -> None:
    """Targets that a teacher makes begin alike and end apart: what counts is what the best constant has at the end."""
    model, spread = nn.Linear(1, 1, bias=False), torch.tensor([[-1.0], [1.0]])
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    watch = advisor.watch(range(5), model, optimizer, report=False)
    for epoch in watch:
        output = model(X)
        (mse(output, epoch * spread) + mae(output, Y)).backward()
        optimizer.step()
    assert watch.record.facts["loss_weights"][0]["guess"] == pytest.approx(16.0)
