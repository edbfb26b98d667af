"""insert_activation: the run becomes the one of the script with activations between its layers."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from sessions import diagnosis_of, images, mlp, record_with, session_of, table
from torch import Tensor, nn
from twins import run

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, insert_activation
from advisor.remedies.insert_activation import Kind, Parameters

LABELS = table()
LAYERS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


def flat(between: type[nn.Module] = nn.Identity) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), between(), nn.Linear(8, 8), between(), nn.Linear(8, 3))


class Conv(nn.Module):
    """Convolutions with and without a norm between them, flattened before the last layer."""

    def __init__(self, between: type[nn.Module] = nn.Identity) -> None:
        super().__init__()
        self.one, self.norm, self.two = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3)
        self.out, self.between = nn.Linear(64, 3), between()

    def forward(self, x: Tensor) -> Tensor:
        x = self.between(self.two(self.between(self.norm(self.one(x)))))
        scores: Tensor = self.out(F.dropout(x, 0.1, self.training).flatten(1))
        return scores


def linear() -> Session:
    return session_of(flat(), table())


def convolutions() -> Session:
    return session_of(Conv(), images())


FITTING = (linear, convolutions)


def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(model(x), y)


@pytest.mark.parametrize("kind", ["relu", "gelu", "tanh"])
@pytest.mark.parametrize("by_hand", [False, True], ids=["loader", "batches by hand"])
def test_losses_are_those_with_activations(kind: Kind, by_hand: bool) -> None:
    """Bit for bit, also where only the order in the Sequential is known."""
    plan = Plan.of("insert_activation", kind=kind)
    repaired, _, record = run(flat, loss, LABELS, plan, batches_by_hand=by_hand)
    assert repaired == run(lambda: flat(LAYERS[kind]), loss, LABELS, batches_by_hand=by_hand)[0]
    assert record.facts["remedy.insert_activation"] == {"after": ["0", "2"], "kind": kind}


def test_after_the_norm() -> None:
    """A norm is linear: the activation goes behind it. Dropout and a reshape change nothing."""
    repaired, _, record = run(Conv, loss, images(), Plan.of("insert_activation"))
    assert repaired == run(lambda: Conv(nn.ReLU), loss, images())[0]
    assert record.facts["remedy.insert_activation"] == {"after": ["norm", "two"], "kind": "relu"}


def test_a_low_rank_joint_is_left_alone() -> None:
    """8 -> 2 -> 8 is a factorisation made on purpose; only the joint behind it gets an activation."""
    model = nn.Sequential(nn.Linear(6, 2, bias=False), nn.Linear(2, 8), nn.Linear(8, 3))
    session = session_of(model, table())
    insert_activation.apply(session, Parameters())
    assert session.facts["remedy.insert_activation"] == {"after": ["1"], "kind": "relu"}


@pytest.mark.parametrize("seen", [True, False])
def test_layers_with_activations_are_refused(seen: bool) -> None:
    """A network that has them has no joint to fill."""
    session = session_of(mlp(), table())
    if not seen:
        session._example = None
    with pytest.raises(CannotApply, match="no Linear or Conv layer is followed by another at once"):
        insert_activation.apply(session, Parameters())


def test_copies_compute_the_same_and_compile() -> None:
    """deepcopy, pickle and torch.compile keep the grafts."""
    session = linear()
    insert_activation.apply(session, Parameters(kind="gelu"))
    x = table()[0]
    expected = session.model(x)
    for twin in (copy.deepcopy(session.model), pickle.loads(pickle.dumps(session.model))):  # noqa: S301  our own bytes
        assert torch.equal(expected, twin(x))
    torch.compiler.reset()
    assert torch.equal(expected, torch.compile(session.model, backend="eager", fullgraph=True)(x))


def test_candidates() -> None:
    """ReLU first, where the rule fired or the record has joints; else none."""
    joints = Evidence(record_with(linear_joints=[["0", "2"]]))
    none = Evidence(record_with(linear_joints=[]))
    assert ["relu", "gelu", "tanh"] == [p.kind for p in insert_activation.candidates(diagnosis_of(), joints)]
    assert [] == insert_activation.candidates(diagnosis_of(), none)
    fired = diagnosis_of("missing_nonlinearity")
    assert ["relu", "gelu", "tanh"] == [p.kind for p in insert_activation.candidates(fired, none)]
