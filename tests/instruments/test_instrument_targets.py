"""The fact `targets` of a loop with several losses, and what the rule about degenerate labels makes of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from watched import every_step, watched  # noqa: F401  a fixture

from advisor.evidence import Evidence
from advisor.record import Record
from advisor.rulebook import load_rules

pytestmark = pytest.mark.usefixtures("every_step")


def adversarial() -> Record:
    """A generator of four numbers and its discriminator, each with an optimizer."""
    made, judge = nn.Linear(4, 4), nn.Linear(4, 1)
    optimizers = [torch.optim.SGD(part.parameters(), 0.1) for part in (made, judge)]
    loss = functional.binary_cross_entropy_with_logits

    def step(x: Tensor, _: Tensor) -> None:
        fake, real = made(torch.randn_like(x)), torch.ones(len(x), 1)
        optimizers[1].zero_grad()
        (loss(judge(x), real) + loss(judge(fake.detach()), torch.zeros(len(x), 1))).backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        loss(judge(fake), real).backward()
        optimizers[0].step()

    return watched(nn.ModuleList([made, judge]), optimizers, step)


def all_the_same() -> Record:
    """A classifier whose labels are all 1."""
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(x), torch.ones_like(y)).backward()
        optimizer.step()

    return watched(model, optimizer, step)


def verdict(record: Record) -> tuple[object, str]:
    table = record.facts["targets"]
    assert isinstance(table, dict)
    return table["elsewhere"], load_rules(counts={})["degenerate_labels"].run(Evidence(record)).result


def test_a_discriminator_has_constant_targets_in_each_loss() -> None:
    """Ones for what is real and zeros for what is not: together they are two values."""
    assert verdict(adversarial()) == (1, "clear")


def test_labels_that_are_all_the_same() -> None:
    """No loss of the loop has other targets."""
    assert verdict(all_the_same()) == (0, "fired")
