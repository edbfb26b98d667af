"""unfreeze: the run of a script that did not freeze."""

from __future__ import annotations

import pytest
import torch
from loops import plain, program, run, same
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import nn
from torch.optim import Adam

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.finding import Finding
from advisor.plan import Plan
from advisor.remedies import Session, unfreeze
from advisor.remedies.unfreeze import Parameters


def frozen() -> nn.Sequential:
    model = mlp()
    model[0].requires_grad_(False)
    return model


def frozen_session() -> Session:
    return session_of(frozen(), table())


FITTING = (frozen_session,)


@pytest.mark.parametrize("only_trained", [False, True])
def test_it_is_the_script_that_did_not_freeze(only_trained: bool) -> None:
    """Every loss and weight is that of the script without the line, whether the optimizer had the layer or not."""

    def make(model: nn.Module) -> Adam:
        return Adam([p for p in model.parameters() if p.requires_grad or not only_trained], lr=0.01)

    repaired = run(program(frozen, make), plain, Plan.of("unfreeze"))
    assert same(repaired, run(program(mlp, make), plain, watched=False))
    assert not same(repaired, run(program(frozen, make), plain))


def test_only_the_named_layers() -> None:
    """What is not named stays frozen; where nothing is frozen there is nothing to do."""
    model = mlp().requires_grad_(False)
    session = session_of(model, table())
    unfreeze.apply(session, Parameters(layers=("2",)))
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True, False, False]
    with pytest.raises(CannotApply, match="no parameter is frozen"):
        unfreeze.apply(session, Parameters(layers=("2",)))


def test_numbers_that_cannot_be_trained_stay() -> None:
    """A parameter of integers never requires a gradient."""
    model = mlp()
    model.register_parameter("count", nn.Parameter(torch.zeros(2, dtype=torch.long), requires_grad=False))
    with pytest.raises(CannotApply, match="no parameter is frozen"):
        unfreeze.apply(session_of(model, table()), Parameters())


def test_candidates_come_with_the_finding() -> None:
    """A frozen backbone alone is no fault."""
    nothing = Evidence(record_with())
    finding = Finding(message="", numbers=(), confidence=0.9, rule="frozen_parameters", layers=("0", "2"))
    diagnosis = diagnosis_of().model_copy(update={"findings": (finding,)})
    assert unfreeze.candidates(diagnosis, nothing) == [Parameters(layers=("0", "2"))]
    assert unfreeze.candidates(diagnosis_of("underfitting"), nothing) == []
