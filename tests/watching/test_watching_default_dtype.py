"""A program that computes in double precision by default is seen as any other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import advisor


@pytest.fixture
def doubles() -> Iterator[None]:
    """Double precision for everything that is made without a dtype, for a test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("task", ["classes", "numbers"])
@pytest.mark.usefixtures("doubles")
def test_double_precision_by_default_detaches_no_instrument(task: str) -> None:
    """`torch.set_default_dtype(torch.float64)` holds for our tensors too: no sum mixes it with others."""
    torch.manual_seed(0)
    x = torch.randn(160, 4)
    y = (x[:, 0] > 0).long() if task == "classes" else x[:, :1]
    loss_fn = functional.cross_entropy if task == "classes" else functional.mse_loss
    train, val = DataLoader(TensorDataset(x[:120], y[:120]), 20), DataLoader(TensorDataset(x[120:], y[120:]), 20)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2 if task == "classes" else 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = advisor.watch(range(3), model, optimizer, train=train, val=val, report=False)
    for _ in watched:
        for xb, yb in train:
            optimizer.zero_grad()
            loss_fn(model(xb), yb).backward()
            optimizer.step()
    assert watched.record.problems == ()
    assert {"grad_norm", "update_ratio"} <= set(watched.record.series)
    assert watched.diagnosis.crashed == ()
