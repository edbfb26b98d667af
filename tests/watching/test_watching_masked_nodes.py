"""One graph, trained and validated on different nodes of it: the model is asked about all of them each time."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

import advisor


def test_nodes_that_a_mask_picks_are_not_taken_for_training_samples() -> None:
    """The inputs of both passes are the same, and the losses are of other rows: nothing is said of copies."""
    torch.manual_seed(0)
    x = torch.randn(60, 4)
    y = (x[:, 0] > 0).long()
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    watched = advisor.watch(range(12), model, optimizer, report=False)
    for _ in watched:
        model.train()
        optimizer.zero_grad()
        functional.cross_entropy(model(x)[:40], y[:40]).backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            functional.cross_entropy(model(x)[40:], y[40:])
    assert "val_loss" in watched.record.series
    assert "evaluated" not in watched.record.facts
    assert watched.record.problems == ()
