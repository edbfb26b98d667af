"""loosen_clipping: the run of the same loop with a higher limit, or with none."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from loops import Program, program, run, same
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import nn
from torch.optim import SGD

from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.record import Series
from advisor.remedies import Session, loosen_clipping
from advisor.remedies.loosen_clipping import Parameters

TIGHT = 1e-3
clip = nn.utils.clip_grad_norm_  # a name of the script's own


class Clipping(SGD):
    """Clips in its own step."""

    def step(self, closure: Any = None) -> Any:
        nn.utils.clip_grad_norm_([p for group in self.param_groups for p in group["params"]], TIGHT)
        return super().step(closure)


def clipped() -> Session:
    model = mlp()
    return session_of(model, table(), Clipping(model.parameters(), lr=0.1))


FITTING = (clipped,)


def loop(made: Program, *, norm: float = math.inf, value: float = math.inf, norms: list[float] | None = None) -> None:
    for x, y in made.train:
        made.optimizer.zero_grad()
        made.backward(x, y)
        total = clip(made.model.parameters(), max_norm=norm)
        nn.utils.clip_grad_value_(made.model.parameters(), value)
        made.optimizer.step()
        if norms is not None:
            norms.append(total.item())
    made.validate()


@pytest.mark.parametrize("which", ["norm", "value"])
@pytest.mark.parametrize(("factor", "limit"), [(None, math.inf), (256.0, 256 * TIGHT)])
def test_it_is_the_loop_with_that_limit(which: str, factor: float | None, limit: float) -> None:
    """Every loss and weight is that of the loop with its limit times the factor, or with none."""
    plan = Plan.of("loosen_clipping", **({} if factor is None else {"factor": factor}))
    repaired = run(program(mlp), lambda made: loop(made, **{which: TIGHT}), plan)
    assert same(repaired, run(program(mlp), lambda made: loop(made, **{which: limit}), watched=False))
    assert not same(repaired, run(program(mlp), lambda made: loop(made, **{which: TIGHT})))


def test_the_norm_is_still_given() -> None:
    """A loop that logs what the function returns logs the same."""
    seen: list[list[float]] = [[], []]
    run(program(mlp), lambda made: loop(made, norm=TIGHT, norms=seen[0]), Plan.of("loosen_clipping"))
    run(program(mlp), lambda made: loop(made, norms=seen[1]), watched=False)
    assert seen[0] == seen[1]


def test_torch_is_as_it_was() -> None:
    """After the loop the functions have their own code, and nothing is left among their globals."""
    inner = inspect.unwrap(clip)
    before, names = inner.__code__, set(inner.__globals__)
    made = run(program(mlp), lambda made: loop(made, norm=TIGHT), Plan.of("loosen_clipping"))
    assert inner.__code__ is before
    assert set(inner.__globals__) == names
    made.model[0].weight.grad = torch.ones(8, 6)  # type: ignore[index]
    clip(made.model.parameters(), TIGHT)
    assert made.model[0].weight.grad.norm() < 2 * TIGHT  # type: ignore[index, union-attr]


def test_candidates_come_from_what_was_kept() -> None:
    """A loop that keeps a fiftieth of its gradients gets fifty times the limit; then none at all."""
    record = record_with()
    kept = np.array([[0.02], [0.02], [0.1], [0.0], [np.nan]], np.float32)
    at = np.arange(len(kept), dtype=np.int64)
    known = replace(record, series={"kept_gradient": Series("kept_gradient", "step", ("",), at, at * 0, kept)})
    fired = diagnosis_of("excessive_clipping")
    assert loosen_clipping.candidates(fired, Evidence(known)) == [Parameters(factor=50.0), Parameters()]
    assert loosen_clipping.candidates(fired, Evidence(record)) == [Parameters()]
    assert loosen_clipping.candidates(diagnosis_of("overfitting"), Evidence(known)) == []
