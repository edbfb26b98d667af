"""accumulate_gradients: the run of a loop that accumulates by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from loops import Program, plain, program, run
from sessions import diagnosis_of, mlp, record_with
from torch import nn
from torch.optim import SGD, Adam, Optimizer

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import accumulate_gradients

PARAMETERS = {"steps": 2}
OPTIMIZERS: dict[str, Callable[[nn.Module], Optimizer]] = {
    "momentum": lambda model: SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1),
    "adam": lambda model: Adam(model.parameters(), lr=0.01),
}


def accumulating(made: Program, steps: int, calls: list[int]) -> None:
    for x, y in made.train:
        loss = F.cross_entropy(made.model(x), y)
        (loss / steps).backward()
        made.losses.append(loss.item())
        calls[0] += 1
        if calls[0] % steps == 0:
            made.optimizer.step()
            made.optimizer.zero_grad()
    made.validate()


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("steps", [2, 4])
def test_it_is_the_loop_that_accumulates(name: str, steps: int) -> None:
    """Weights and losses are those of a loop that divides its loss and steps now and then, over ends of epochs too."""
    repaired = run(program(mlp, OPTIMIZERS[name]), plain, Plan.of("accumulate_gradients", steps=steps))
    calls = [0]
    expected = run(program(mlp, OPTIMIZERS[name]), lambda made: accumulating(made, steps, calls), watched=False)
    assert repaired.losses == pytest.approx(expected.losses, abs=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(repaired.weights(), expected.weights(), strict=True))
    assert repaired.record.facts["remedy.accumulate_gradients"] == {"made": 12 // steps, "held": 12 - 12 // steps}


def test_the_record_counts_the_steps_that_were_made() -> None:
    """As with accumulation by hand: half the steps, and no rule that sees gradients cleared before the step."""
    calls = [0]
    ours = run(program(mlp), plain, Plan.of("accumulate_gradients", steps=2)).record
    by_hand = run(program(mlp), lambda made: accumulating(made, 2, calls)).record
    assert ours.last_step == by_hand.last_step == 6
    assert ours.facts["steps_per_epoch"] == by_hand.facts["steps_per_epoch"]
    kept = ours.series["kept_gradient"].values
    assert kept.min() > 0


def test_a_loop_that_clears_after_its_step_gets_the_same() -> None:
    """When the loop clears its gradients makes no difference."""

    def clears_after(made: Program) -> None:
        for x, y in made.train:
            made.step(x, y, clear=False)
            made.optimizer.zero_grad()
        made.validate()

    plan = Plan.of("accumulate_gradients", steps=2)
    assert run(program(mlp), clears_after, plan).losses == run(program(mlp), plain, plan).losses


def test_candidates() -> None:
    """Not where there are too few steps already, and not more than an epoch has."""

    def steps(diagnosis: Diagnosis, **facts: float) -> list[int]:
        return [c.steps for c in accumulate_gradients.candidates(diagnosis, Evidence(record_with(**facts)))]

    assert steps(diagnosis_of(), steps_per_epoch=100) == [4, 2]
    assert steps(diagnosis_of(), steps_per_epoch=3) == [2]
    assert steps(diagnosis_of()) == [4]
    assert steps(diagnosis_of("too_few_epochs"), steps_per_epoch=100) == []
