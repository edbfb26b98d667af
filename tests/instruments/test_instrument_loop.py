"""The fact `loop`: whether losses become steps, and steps move anything."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from watched import STEPS, every_step, loader, usual, watched  # noqa: F401  a fixture

import advisor
from advisor.evidence import Evidence
from advisor.record import Record
from advisor.rulebook import load_rules

pytestmark = pytest.mark.usefixtures("every_step")
RULES = load_rules(counts={})


def fired(record: Record) -> bool:
    return RULES["no_training_steps"].run(Evidence(record)).result == "fired"


def parts() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Linear(4, 2)
    return model, torch.optim.SGD(model.parameters(), 0.1)


def test_a_loop_that_steps() -> None:
    """Nothing is wrong, and how many losses there were is not of interest."""
    model, optimizer = parts()
    record = watched(model, optimizer, usual(model, optimizer), epochs=4)
    assert record.facts["loop"] == {"losses": None, "backward": True, "steps": True, "moved": True}
    assert not fired(record)


@pytest.mark.parametrize("backward", [True, False])
def test_a_loop_that_never_steps(backward: bool) -> None:
    """Losses, with or without their backward passes, and the weights are what they were."""
    model, optimizer = parts()

    def step(x: Tensor, y: Tensor) -> None:
        loss = functional.cross_entropy(model(x), y)
        if backward:
            loss.backward()

    record = watched(model, optimizer, step, epochs=4)
    assert record.facts["loop"] == {"losses": 4 * STEPS, "backward": backward, "steps": False, "moved": False}
    assert fired(record)


def test_a_loop_without_a_loader_that_never_steps() -> None:
    """Its epochs cannot be told apart, but its end can."""
    model, optimizer = parts()
    x, y = loader().dataset[:]
    watch = advisor.watch(range(20), model, optimizer, report=False)
    for _ in watch:
        functional.cross_entropy(model(x), y).backward()
    assert watch.record.facts["loop"] == {"losses": 20, "backward": True, "steps": False, "moved": False}


def test_steps_without_a_backward_pass() -> None:
    """An optimizer skips what has no gradient."""
    model, optimizer = parts()

    def step(x: Tensor, y: Tensor) -> None:
        functional.cross_entropy(model(x), y)
        optimizer.step()

    record = watched(model, optimizer, step)
    assert record.facts["loop"] == {"losses": None, "backward": False, "steps": True, "moved": False}
    assert fired(record)


def test_steps_by_hand_are_steps() -> None:
    """The optimizer is only there because `watch` asks for one."""
    model, optimizer = parts()

    def step(x: Tensor, y: Tensor) -> None:
        functional.cross_entropy(model(x), y).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad
                parameter.grad = None

    record = watched(model, optimizer, step, epochs=4)
    assert record.facts["loop"] == {"losses": 4 * STEPS, "backward": True, "steps": False, "moved": True}
    assert not fired(record)
