"""A loop that validates another model than it trains, such as its averaged weights."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import advisor


@pytest.mark.parametrize("validated", ["copy", "itself"])
def test_the_mode_of_the_trained_model_says_nothing_of_the_one_that_is_validated(validated: str) -> None:
    """The copy is in eval mode, whatever mode the model in training is in; of itself the mode counts."""
    torch.manual_seed(0)
    x = torch.randn(60, 3)
    y = (x[:, 0] > 0).long()
    train, val = DataLoader(TensorDataset(x[:40], y[:40]), 10), DataLoader(TensorDataset(x[40:], y[40:]), 10)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
    averaged = copy.deepcopy(model).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = advisor.watch(range(3), model, optimizer, train=train, val=val, report=False)
    for _ in watched:
        for xb, yb in train:
            optimizer.zero_grad()
            functional.cross_entropy(model(xb), yb).backward()
            optimizer.step()
        with torch.no_grad():
            for xb, yb in val:
                functional.cross_entropy((averaged if validated == "copy" else model)(xb), yb)
    assert watched.record.problems == ()
    assert "val_loss" in watched.record.series
    fired = [finding.rule for finding in watched.diagnosis.findings]
    assert ("validating_in_train_mode" in fired) == (validated == "itself")
