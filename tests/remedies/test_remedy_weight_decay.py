"""weight_decay: which groups get it, and in which form."""

from __future__ import annotations

import pytest
import torch
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch.optim import SGD, Adam, AdamW, Optimizer

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.remedies import weight_decay
from advisor.remedies.weight_decay import Parameters


def test_groups_with_weights_only() -> None:
    """A group of biases keeps its decay; the number of groups stays."""
    model = mlp()
    weights = [p for p in model.parameters() if p.dim() > 1]
    biases = [p for p in model.parameters() if p.dim() == 1]
    optimizer = SGD([{"params": weights}, {"params": biases}], lr=0.1)
    session = session_of(model, table(), optimizer)
    weight_decay.apply(session, Parameters(weight_decay=0.3))
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]
    assert session.facts["remedy.weight_decay"] == {"changed": [[0.0, 0.3]], "value": 0.3}


def one_step(optimizer: Optimizer, weight: torch.Tensor) -> torch.Tensor:
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    return weight.detach()


def test_adam_without_decay_becomes_adamw() -> None:
    """With a decay that was 0 before, Adam's step is AdamW's bit for bit."""
    model = mlp()
    start = model[0].weight.detach().clone()
    session = session_of(model, table(), Adam(model.parameters(), lr=0.1))
    weight_decay.apply(session, Parameters(weight_decay=0.5))
    other = start.clone().requires_grad_()
    expected = one_step(AdamW([other], lr=0.1, weight_decay=0.5), other)
    assert torch.equal(expected, one_step(session.optimizers[0], model[0].weight))


def test_coupled_decay_stays_coupled() -> None:
    """An Adam with L2 that the user chose gets another value of the same thing."""
    model = mlp()
    session = session_of(model, table(), Adam(model.parameters(), weight_decay=0.1))
    weight_decay.apply(session, Parameters(weight_decay=0.01))
    assert session.optimizers[0].param_groups[0]["decoupled_weight_decay"] is False


def test_optimizer_without_decay() -> None:
    """LBFGS has no weight_decay and is refused, as is the value in use."""
    model = mlp()
    with pytest.raises(CannotApply, match="no optimizer with weight_decay"):
        weight_decay.apply(session_of(model, table(), torch.optim.LBFGS(model.parameters())), Parameters())
    with pytest.raises(CannotApply, match="0 already"):
        weight_decay.apply(session_of(model, table()), Parameters(weight_decay=0.0))


def test_candidates() -> None:
    """The optimizer's usual value and ten times that, above what is in use; below it where decay is what hurts."""

    def evidence(kind: str, used: float) -> Evidence:
        return Evidence(record_with(optimizer=[{"class": kind, "lr": 0.1, "weight_decay": used}]))

    def values(*arguments: object) -> list[float]:
        return [choice.weight_decay for choice in weight_decay.candidates(*arguments)]

    overfits, decays = diagnosis_of("overfitting"), diagnosis_of("over_regularised")
    assert values(overfits, evidence("SGD", 0.0)) == [5e-4, 5e-3]
    assert values(overfits, evidence("AdamW", 0.0)) == [1e-2, 1e-1]
    assert values(overfits, evidence("AdamW", 0.01)) == [1e-1]
    assert values(decays, evidence("SGD", 0.3)) == [1e-4, 0.0]
