"""skip_bad_steps: the run of a loop that leaves such steps out itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from loops import Program, program, run
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, skip_bad_steps
from advisor.remedies.skip_bad_steps import Parameters

PLAN = Plan.of("skip_bad_steps")
OPTIMIZERS: dict[str, Callable[[nn.Module], Optimizer]] = {
    "momentum": lambda model: SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1),
    "adam": lambda model: Adam(model.parameters(), lr=0.01),
}


def broken(samples: int = 24) -> tuple[Tensor, Tensor]:
    x, y = table(samples)
    x[3, 2] = float("nan")
    return x, y


def broken_session() -> Session:
    return session_of(mlp(), broken())


FITTING = (broken_session,)


def plain(made: Program) -> None:
    for x, y in made.train:
        made.step(x, y)


def careful(made: Program) -> None:
    for x, y in made.train:
        made.optimizer.zero_grad()
        made.backward(x, y)
        if all(p.grad is not None and p.grad.isfinite().all() for p in made.model.parameters()):
            made.optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_is_the_loop_that_skips(name: str) -> None:
    """Every weight is that of the loop that looks before it steps: no decay and no momentum in a step left out."""
    repaired = run(program(mlp, OPTIMIZERS[name], broken(40)), plain, PLAN)
    expected = run(program(mlp, OPTIMIZERS[name], broken(40)), careful, watched=False)
    assert all(torch.equal(a, b) for a, b in zip(repaired.weights(), expected.weights(), strict=True))
    assert repaired.record.facts["remedy.skip_bad_steps"] == {"steps": 12, "skipped": 4}
    assert all(weight.isfinite().all() for weight in repaired.weights())


def test_where_all_is_well_nothing_is_skipped() -> None:
    """Every weight is that of the loop alone."""
    repaired = run(program(mlp), plain, PLAN)
    expected = run(program(mlp), plain, watched=False)
    assert all(torch.equal(a, b) for a, b in zip(repaired.weights(), expected.weights(), strict=True))
    assert not skip_bad_steps.took_effect(repaired.record, Parameters())


def test_a_large_gradient_is_a_number() -> None:
    """One whose square overflows is finite all the same."""
    session = session_of(mlp(), table())
    skip_bad_steps.apply(session, Parameters())
    weight = session.model[0].weight  # type: ignore[index]
    for value, left in ((1e30, True), (float("inf"), False), (float("nan"), False)):
        weight.grad = torch.full((8, 6), 0.0)
        weight.grad[0, 0] = value
        for hook in session.optimizers[0]._optimizer_step_pre_hooks.values():
            hook(session.optimizers[0], (session.optimizers[0],), {})
        assert (weight.grad is not None) is left


def test_candidates() -> None:
    """Where something was not a number."""
    nothing = Evidence(record_with())
    assert skip_bad_steps.candidates(diagnosis_of("non_finite_gradients"), nothing) == [Parameters()]
    assert skip_bad_steps.candidates(diagnosis_of(), nothing) == []
    seen = Evidence(record_with(first_non_finite={"where": "loss", "step": 3, "epoch": 0}))
    assert skip_bad_steps.candidates(diagnosis_of(), seen) == [Parameters()]
