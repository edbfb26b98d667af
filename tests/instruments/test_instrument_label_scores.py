"""label_scores: the accuracy of a classifier that is trained by a distance, and no accuracy of anything else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.record import Record


def trained(x: Tensor, y: Tensor) -> tuple[nn.Module, Record]:
    """A linear model by squares, validated on the same data in batches of another size."""
    torch.manual_seed(0)
    model = nn.Linear(x.shape[1], y.shape[1])
    optimizer, loss_fn = torch.optim.SGD(model.parameters(), lr=0.1), nn.MSELoss()
    train, val = (DataLoader(TensorDataset(x, y), batch_size=size) for size in (10, 7))
    watch = advisor.watch(range(2), model, optimizer, loss_fn, train=train, val=val, report=False)
    for _ in watch:
        for xb, yb in train:
            optimizer.zero_grad()
            loss_fn(model(xb), yb).backward()
            optimizer.step()
        with torch.no_grad():
            for xb, yb in val:
                loss_fn(model(xb), yb)
    assert watch.record.problems == ()
    return model, watch.record


INPUTS = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))


def test_one_hot_rows() -> None:
    """The highest output names the class; R² is there as well."""
    y = torch.eye(3)[INPUTS[:, :3].argmax(1)]
    model, record = trained(INPUTS, y)
    expected = float((model(INPUTS).argmax(1) == y.argmax(1)).float().mean())
    assert record.series["val_accuracy"].values[-1, 0] == pytest.approx(expected)
    assert "val_r2" in record


def test_zeros_and_ones() -> None:
    """An output above a half says one."""
    y = (INPUTS[:, :1] > 0).float()
    model, record = trained(INPUTS, y)
    expected = float(((model(INPUTS) > 0.5) == (y > 0.5)).float().mean())
    assert record.series["val_accuracy"].values[-1, 0] == pytest.approx(expected)


@pytest.mark.parametrize(
    "y",
    [INPUTS[:, :1], torch.ones(60, 1), (INPUTS[:, :3] > 0).float(), torch.arange(60.0)[:, None] % 3],
    ids=["numbers", "one class", "several labels a sample", "counts"],
)
def test_nothing_else_has_an_accuracy(y: Tensor) -> None:
    """Numbers, one class alone, several labels a sample, counts."""
    _, record = trained(INPUTS, y)
    assert "val_accuracy" not in record
