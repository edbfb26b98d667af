"""clip_gradients: the run of a loop that calls clip_grad_norm_ itself, also under GradScaler and with closures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from loops import Program, plain, program, run, same
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, Adam

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.record import Series
from advisor.remedies import clip_gradients
from advisor.remedies.clip_gradients import Parameters

LIMIT = 0.2
PARAMETERS = {"max_norm": LIMIT}
PLAN = Plan.of("clip_gradients", **PARAMETERS)


def clipping(made: Program) -> None:
    for x, y in made.train:
        made.optimizer.zero_grad()
        made.backward(x, y)
        nn.utils.clip_grad_norm_(made.model.parameters(), LIMIT)
        made.optimizer.step()
    made.validate()


def test_it_is_the_loop_that_clips() -> None:
    """Every loss and weight is that of the loop with clip_grad_norm_; without the plan they differ."""
    repaired = run(program(mlp), plain, PLAN)
    assert same(repaired, run(program(mlp), clipping, watched=False))
    assert not same(run(program(mlp), plain), repaired)


def test_a_limit_that_nothing_reaches_changes_nothing() -> None:
    """And has no effect."""
    loose = run(program(mlp), plain, Plan.of("clip_gradients", max_norm=1e6))
    assert same(loose, run(program(mlp), plain, watched=False))
    assert not clip_gradients.took_effect(loose.record, Parameters())


def test_a_closure_is_followed_by_the_clip() -> None:
    """Where the gradients are made inside step, they are clipped inside it."""

    def with_closure(made: Program) -> None:
        for x, y in made.train:

            def closure(x: Tensor = x, y: Tensor = y) -> float:
                made.optimizer.zero_grad()
                made.backward(x, y)
                return made.losses[-1]

            made.optimizer.step(closure)
        made.validate()

    assert same(run(program(mlp), with_closure, PLAN), run(program(mlp), clipping, watched=False))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_under_a_scaler_the_true_gradient_counts(kind: Callable[..., torch.optim.Optimizer], fused: bool) -> None:
    """Weights are those of a loop that unscales, clips and steps; also where a fused optimizer unscales by itself."""

    def scaled(made: Program, *, clip: bool) -> None:
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
        for x, y in made.train:
            made.optimizer.zero_grad()
            scaler.scale(F.cross_entropy(made.model(x), y)).backward()
            if clip:
                scaler.unscale_(made.optimizer)
                nn.utils.clip_grad_norm_(made.model.parameters(), LIMIT)
            scaler.step(made.optimizer)
            scaler.update()

    def make() -> Program:
        return program(mlp, lambda model: kind(model.parameters(), lr=0.1, fused=fused))

    repaired = run(make(), lambda made: scaled(made, clip=False), PLAN)
    expected = run(make(), lambda made: scaled(made, clip=True), watched=False)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(repaired.weights(), expected.weights(), strict=True))
    unclipped = run(make(), lambda made: scaled(made, clip=False), watched=False)
    assert not torch.allclose(repaired.weights()[0], unclipped.weights()[0], atol=1e-4)


def test_it_ends_with_the_loop() -> None:
    """A step after the loop is not clipped."""
    made = run(program(mlp), plain, PLAN)
    assert not made.optimizer._optimizer_step_pre_hooks


def test_lbfgs_is_refused() -> None:
    """Its line search needs the gradient as it is."""
    model = mlp()
    with pytest.raises(CannotApply, match="LBFGS"):
        clip_gradients.apply(session_of(model, table(), LBFGS(model.parameters())), Parameters())


def test_candidates_come_from_the_recorded_norms() -> None:
    """The 90th percentile and the median of the first half; what is no number does not count; 1 where none is known."""
    record = record_with()
    values = np.array([[float(i)] for i in range(1, 11)] + [[np.nan]] + [[1e9]] * 11, np.float32)
    at = np.arange(len(values), dtype=np.int64)
    known = replace(record, series={"total_grad_norm": Series("total_grad_norm", "step", ("",), at, at * 0, values)})
    fired = diagnosis_of("exploding_gradients")
    assert [c.max_norm for c in clip_gradients.candidates(fired, Evidence(known))] == [9.1, 5.5]
    assert clip_gradients.candidates(fired, Evidence(record)) == [Parameters(max_norm=1.0)]


def test_norms_of_an_explosion_are_no_limit() -> None:
    """Gradients began at a million and later are of the order of 1: the common limit comes first."""
    norms = np.array([[1e6]] * 6 + [[3.0]] * 6, np.float32)
    at = np.arange(len(norms), dtype=np.int64)
    for values, expected in ((norms, [1.0, 1e6]), (norms[6:], [3.0])):
        series = Series("total_grad_norm", "step", ("",), at[: len(values)], at[: len(values)] * 0, values)
        known = replace(record_with(), series={"total_grad_norm": series})
        found = clip_gradients.candidates(diagnosis_of("exploding_gradients"), Evidence(known))
        assert expected == [c.max_norm for c in found]


def test_what_is_no_number_cannot_be_clipped() -> None:
    """Where gradients grew before the break there is something to clip, where they were ordinary there is not."""
    fired = diagnosis_of("non_finite_loss")
    grew, ordinary = [1.0, 2.0, 1.0, 50.0], [1.0, 2.0, 1.0, 3.0]
    assert len(clip_gradients.candidates(fired, Evidence(record_with(non_finite={"norms": [*grew]})))) == 1
    assert clip_gradients.candidates(fired, Evidence(record_with(non_finite={"norms": [*ordinary]}))) == []
    assert len(clip_gradients.candidates(fired, Evidence(record_with(non_finite={"step": 3})))) == 1
