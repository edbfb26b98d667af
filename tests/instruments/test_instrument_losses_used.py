"""Losses that are computed and never differentiated -> the fact `losses_used`, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import advisor
from advisor.evidence import Evidence
from advisor.rulebook import load_rules

RULES = load_rules(counts={})
X, Y = torch.randn(20, 2, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1])


def run(way: str) -> Any:
    """Three epochs of twenty batches."""
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    watch = advisor.watch(range(3), model, optimizer, report=False)
    for _ in watch:
        losses = []
        for x in X:
            losses.append(functional.cross_entropy(model(x), Y))
            if way == "each":
                optimizer.zero_grad()
                losses[-1].backward()
                optimizer.step()
            if way == "inner gradients":
                torch.autograd.grad(losses[-1], list(model.parameters()), retain_graph=True)
        if way != "each":
            optimizer.zero_grad()
            (torch.stack(losses).mean() if way == "sum" else losses[-1]).backward()
            optimizer.step()
    assert watch.record.problems == ()
    return watch.record


@pytest.mark.parametrize("way", ["each", "sum", "inner gradients"])
def test_losses_that_train_are_used(way: str) -> None:
    """One by one, added up over an epoch, or differentiated by hand as an inner loop does."""
    record = run(way)
    assert record.facts["losses_used"]["computed"] == record.facts["losses_used"]["used"] > 0
    assert RULES["no_training_steps"].run(Evidence(record)).result == "clear"


def test_a_backward_pass_outside_of_the_inner_loop_uses_one_in_twenty() -> None:
    """Only the last batch of each epoch trains, which looks like slow learning otherwise."""
    record = run("last")
    assert record.facts["losses_used"] == {"computed": 60, "used": 3}
    outcome = RULES["no_training_steps"].run(Evidence(record))
    assert outcome.finding is not None
    assert "of 60 training losses in sampled steps 3 had a backward pass" in outcome.finding.message
