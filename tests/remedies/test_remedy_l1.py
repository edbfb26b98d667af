"""l1: steps are those of a loop that adds the penalty to its loss."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from loss_twins import run
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import l1
from advisor.remedies.l1 import Parameters


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 3))


def test_steps_are_those_of_a_penalised_loss() -> None:
    """The weights afterwards are those of a loop whose loss has 0.01 times the sum of absolute weights in it."""
    right = network()

    def penalised(output: Tensor, target: Tensor) -> Tensor:
        weights = [p for p in right.parameters() if p.dim() > 1]
        return F.cross_entropy(output, target) + 0.01 * sum(p.abs().sum() for p in weights)

    repaired = run(network(), table(80), F.cross_entropy, Plan.of("l1", strength=0.01))
    assert torch.allclose(repaired.weights, run(right, table(80), penalised).weights, atol=1e-6)
    plain = run(network(), table(80), F.cross_entropy)
    assert repaired.record.problems == ()
    assert not torch.allclose(repaired.weights, plain.weights, atol=1e-4)
    assert repaired.train[0] == plain.train[0]  # the penalty is in the steps and not in the loss that is shown


def test_the_optimizer_is_the_users_again_afterwards() -> None:
    """A step after the loop has no penalty."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    session = session_of(model, table(), optimizer)
    l1.apply(session, Parameters())
    assert optimizer._optimizer_step_pre_hooks
    for action in session.leave_actions:
        action()
    assert not optimizer._optimizer_step_pre_hooks


def test_nothing_to_pull() -> None:
    """An optimizer of biases alone, and one that searches along a line."""
    model = mlp()
    biases = torch.optim.SGD([p for p in model.parameters() if p.dim() == 1], lr=0.1)
    with pytest.raises(CannotApply, match="l1: no optimizer holds a weight"):
        l1.apply(session_of(model, table(), biases), Parameters())
    with pytest.raises(CannotApply, match="LBFGS"):
        l1.apply(session_of(model, table(), torch.optim.LBFGS(model.parameters())), Parameters())


def test_candidates_are_a_decade_apart() -> None:
    """The gentle one first; none for a model that underfits."""
    evidence = Evidence(record_with())
    found = l1.candidates(diagnosis_of("overfitting"), evidence)
    assert [choice.strength for choice in found] == pytest.approx([1e-4, 1e-3])
    assert l1.candidates(diagnosis_of("underfitting"), evidence) == []
