"""activation: the run becomes the one of the script that was written with the other activation."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from sessions import Cnn, diagnosis_of, images, mlp, record_with, session_of, table
from torch import Tensor, nn
from twins import run

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import activation
from advisor.remedies.activation import FUNCTIONS, Kind, Parameters

LABELS = table()


def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(model(x), y)


class Net(nn.Module):
    """Hidden activations in four spellings, a gate, and an activation at the end."""

    def __init__(self, own: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 8), *(nn.Linear(8, 8) for _ in range(4)), nn.Linear(8, 3)])
        self.module, self.own = nn.ReLU(inplace=True), own

    def forward(self, x: Tensor) -> Tensor:
        ways = [F.relu, torch.relu, lambda t: t.relu(), self.module]
        for layer, way in zip(self.layers, [self.own or w for w in ways], strict=False):
            x = way(layer(x))
        x = x * torch.sigmoid(self.layers[4](x))  # a gate
        return F.relu(self.layers[5](x))


@pytest.mark.parametrize("kind", sorted(FUNCTIONS.keys() - {"relu"}))
def test_every_hidden_activation_is_swapped(kind: Kind) -> None:
    """However it is spelt; the gate and the last one stay: losses are those of the model written so, bit for bit."""
    repaired, model, record = run(Net, loss, LABELS, Plan.of("activation", kind=kind))
    right, twin, _ = run(lambda: Net(FUNCTIONS[kind]), loss, LABELS)
    assert repaired == right
    assert record.problems == ()
    assert torch.equal(model(LABELS[0]), twin(LABELS[0]))  # it stays after the loop
    assert record.facts["remedy.activation"] == {"kind": kind, "instead_of": ["relu"], "reached": True}


def test_several_kinds_become_one() -> None:
    """ReLU and Tanh of one model become GELU both."""
    session = session_of(mlp(), table())
    activation.apply(session, Parameters(kind="gelu"))
    x, layers = table()[0], list(session.model.children())
    expected = layers[4](F.gelu(layers[2](F.gelu(layers[0](x)))))
    assert torch.equal(expected, session.model(x))


def test_a_convolutional_network_with_functions() -> None:
    """F.relu of a convolutional network is reached, in train and in eval mode."""
    session = session_of(Cnn(), images())
    activation.apply(session, Parameters(kind="silu"))
    x, model = images()[0], session.model
    one = F.max_pool2d(F.silu(model.one(x)), 2)  # type: ignore[operator]
    two = F.max_pool2d(F.silu(model.two(one)), 2)  # type: ignore[operator]
    expected = model.out(two.flatten(1))  # type: ignore[operator]
    assert torch.equal(expected, model(x))
    assert torch.equal(expected, model.eval()(x))


def test_a_transformer_takes_no_shortcut() -> None:
    """torch's fused encoder layer in eval mode would compute the old activation: it is not taken."""
    torch.manual_seed(0)
    encoder = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True)
    model = nn.Sequential(nn.Unflatten(1, (1, 6)), encoder, nn.Flatten(), nn.Linear(6, 3))
    session = session_of(model, table())
    activation.apply(session, Parameters(kind="silu"))
    with torch.no_grad():
        assert torch.allclose(model.train()(table()[0]), model.eval()(table()[0]), atol=1e-6)


def test_two_remedies_share_their_hooks() -> None:
    """With drop_output_activation in one plan each counts the user's calls, not those of the other."""

    def right(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x), y)

    def make(between: Callable[[], nn.Module], *last: nn.Module) -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), between(), nn.Linear(8, 8), between(), nn.Linear(8, 3), *last)

    for plan in (
        Plan.of("activation", kind="elu") + Plan.of("drop_output_activation"),
        Plan.of("drop_output_activation") + Plan.of("activation", kind="elu"),
    ):
        repaired, model, _ = run(lambda: make(nn.Tanh, nn.Tanh()), loss, LABELS, plan)
        assert repaired == run(lambda: make(nn.ELU), right, LABELS)[0]
        assert len(model._forward_pre_hooks) == 1


def test_copies_compute_the_same() -> None:
    """deepcopy and pickle keep the change."""
    session = session_of(mlp(), table())
    activation.apply(session, Parameters(kind="gelu"))
    x = table()[0]
    for twin in (copy.deepcopy(session.model), pickle.loads(pickle.dumps(session.model))):  # noqa: S301  our own bytes
        assert torch.equal(session.model(x), twin(x))


def test_a_forward_within_a_forward() -> None:
    """A model that calls itself is changed in the inner pass too, and the mode is left with the outer one."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.out = nn.Linear(6, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor, again: bool = True) -> Tensor:
            hidden = torch.tanh(self.one(x))
            return self(hidden, again=False) if again else self.out(hidden)

    session = session_of(Twice(), table())
    activation.apply(session, Parameters(kind="relu"))
    x, model = table()[0], session.model
    one: Callable[[Tensor], Tensor] = model.one  # type: ignore[assignment]
    assert torch.equal(model.out(F.relu(one(F.relu(one(x))))), model(x))  # type: ignore[operator]
    assert torch.overrides._get_current_function_mode_stack() == []


def test_nothing_to_swap_is_refused() -> None:
    """Hidden activations that are of this kind, and none at all, are two different answers."""
    with pytest.raises(CannotApply, match="hidden activations are relu already"):
        activation.apply(session_of(Cnn(), images()), Parameters(kind="relu"))
    with pytest.raises(CannotApply, match="no hidden activation is called"):
        activation.apply(session_of(nn.Sequential(nn.Linear(6, 3)), table()), Parameters())


def test_a_checkpointed_model_is_refused() -> None:
    """A part that is computed again in the backward pass would be computed with the old activation there."""
    session = session_of(mlp(), table())
    session.model.gradient_checkpointing = True  # type: ignore[assignment]  # as Hugging Face's models have it
    with pytest.raises(CannotApply, match="computes its forward again in the backward pass"):
        activation.apply(session, Parameters())


def test_candidates() -> None:
    """What passes a gradient below zero for dead units, ReLU first for flat ends, none for one layer."""
    many, one = Evidence(record_with()), Evidence(record_with(kinds=("Linear",)))

    def kinds(rule: str | None, evidence: Evidence) -> list[str]:
        return [p.kind for p in activation.candidates(diagnosis_of(*[rule] if rule else []), evidence)]

    assert ["leaky_relu", "gelu", "silu"] == kinds("dead_units", many)
    assert ["relu", "leaky_relu", "gelu"] == kinds("vanishing_gradients", many)
    assert ["leaky_relu", "gelu", "silu"] == kinds(None, many)
    assert [] == kinds(None, one)
