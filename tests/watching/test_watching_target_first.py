"""A loop that calls its loss as `loss_fn(target, output)`: all that is told of it stays the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import advisor

Loss = Callable[[Tensor, Tensor], Tensor]
TRAIN, VAL = slice(0, 48), slice(48, 64)


pytestmark = pytest.mark.usefixtures("every_step")


def mse_loss(one: Tensor, other: Tensor) -> Tensor:
    """Looked up when it is called, as a loop does."""
    return functional.mse_loss(one, other)


def turned(loss: Loss) -> Loss:
    """The same call with the target first."""
    return lambda output, target: loss(target, output)


def regression(loss: Loss) -> advisor.Record:
    """Three epochs on batches that are cut by hand."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 4, generator=generator)
    y = x.sum(1, keepdim=True) + torch.randn(64, 1, generator=generator)
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    watch = advisor.watch(range(3), model, optimizer, report=False)
    for _ in watch:
        model.train()
        for xb, yb in zip(x[TRAIN].split(16), y[TRAIN].split(16), strict=True):
            optimizer.zero_grad()
            loss(model(xb), yb).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            loss(model(x[VAL]), y[VAL])
    assert watch.record.problems == ()
    return watch.record


@pytest.mark.parametrize("name", ["train_loss", "val_loss", "val_r2", "clean_train_r2", "target_std", "prediction_std"])
def test_a_distance_tells_the_same_either_way_round(name: str) -> None:
    """Losses, scores and the spread of targets are those of the loop that hands the output over first."""
    usual, other = (record.series[name].values for record in (regression(mse_loss), regression(turned(mse_loss))))
    assert usual == pytest.approx(other)


def test_a_loss_of_ones_own_may_take_the_target_first() -> None:
    """`advisor.loss` of f(y_true, y_pred), as Keras has it: computed again with its arguments where it wants them."""
    relative = advisor.loss(lambda truth, prediction: ((truth - prediction) ** 2 / (1 + truth**2)).mean())
    usual = advisor.loss(lambda prediction, truth: ((truth - prediction) ** 2 / (1 + truth**2)).mean())
    one, other = regression(usual), regression(turned(relative))
    assert one.series["clean_train_loss"].values == pytest.approx(other.series["clean_train_loss"].values)
    assert np.isfinite(one.series["clean_train_loss"].values).all()


def test_a_loss_wrapped_by_advisor_is_heard_without_being_named() -> None:
    """`watch` was not told of it: train and validation losses are there all the same."""
    record = regression(advisor.loss(lambda prediction, truth: (prediction - truth).abs().mean()))
    expected = regression(lambda prediction, truth: functional.l1_loss(prediction, truth))
    for name in ("train_loss", "val_loss"):
        assert expected.series[name].values == pytest.approx(record.series[name].values)
