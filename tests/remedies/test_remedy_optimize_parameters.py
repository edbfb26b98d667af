"""optimize_parameters: the run of a script whose optimizer and whose model know all that there is."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from loops import Program, program, run, usual
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, Adagrad, Adam, Optimizer

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.finding import Finding
from advisor.plan import Plan
from advisor.remedies import Session, optimize_parameters
from advisor.remedies.optimize_parameters import Parameters

PLAN = Plan.of("optimize_parameters")
OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "sgd": lambda parameters: SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda parameters: Adam(parameters, lr=0.01),
    "adagrad": lambda parameters: Adagrad(parameters, lr=0.1, initial_accumulator_value=0.1),
}


class Listed(nn.Module):
    """Layers in plain containers, or in torch's."""

    def __init__(self, *, registered: bool) -> None:
        super().__init__()
        inner = [nn.Linear(6, 8), nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 8))]
        named = {"a b": (nn.Linear(8, 8), nn.Dropout(0.5))}
        shift, scale = torch.zeros(8, requires_grad=True), nn.Parameter(torch.ones(8))
        self.hidden: Any = nn.ModuleList(inner) if registered else inner
        self.named: Any = nn.ModuleDict({"a b": nn.ModuleList(named["a b"])}) if registered else named
        self.shift: Any = nn.Parameter(shift.detach()) if registered else shift
        self.scales: Any = nn.ParameterList([scale]) if registered else [scale]
        self.head = nn.Linear(8, 3)
        self.again = [self.head]  # known already

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = torch.tanh(layer(x))
        linear, dropout = self.named["a b"]
        x = dropout(torch.relu(linear(x))) * self.scales[0] + self.shift
        return self.head(x)  # type: ignore[no-any-return]


def hidden_session() -> Session:
    return session_of(model := Listed(registered=False), table(), Adam(model.parameters(), lr=0.01))


def replaced_session() -> Session:
    model = mlp()
    optimizer = SGD(model.parameters(), lr=0.1)
    model[4] = nn.Linear(8, 3)
    return session_of(model, table(), optimizer)


FITTING = (hidden_session, replaced_session)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_hidden_layers_train_as_registered_ones_do(name: str) -> None:
    """Every loss is that of the script with ModuleList, ModuleDict and ParameterList, modes and all."""

    def make(*, registered: bool) -> Program:
        return program(lambda: Listed(registered=registered), lambda model: OPTIMIZERS[name](model.parameters()))

    repaired, expected = run(make(registered=False), usual, PLAN), run(make(registered=True), usual, watched=False)
    assert repaired.losses == expected.losses
    assert run(make(registered=False), usual).losses != expected.losses
    assert len(repaired.weights()) == len(expected.weights())


def test_names_say_where_they_were() -> None:
    """Old keys of the state_dict stay, new ones are named after the attribute; a loaded one reaches the lists."""
    session = hidden_session()
    before = list(session.model.state_dict())
    optimize_parameters.apply(session, Parameters())
    state = session.model.state_dict()
    assert [key for key in state if key in before] == before
    new = {key.rpartition(".")[0] or key for key in state} - {"head"}
    assert new == {"hidden_0", "hidden_1.0", "hidden_1.1", "named_a_b_0", "scales_0", "shift"}
    assert session.model.named_a_b_1 is session.model.named["a b"][1]  # a dropout, which has no parameters
    session.model.load_state_dict({key: torch.full_like(value, 2) for key, value in state.items()})
    assert session.model.hidden[0].weight.eq(2).all()
    assert session.model.shift.eq(2).all()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])  # noqa: S301
def test_copies_are_whole(copied: Callable[[nn.Module], nn.Module]) -> None:
    """In a copy the lists and the registered layers are the same objects again."""
    session = hidden_session()
    optimize_parameters.apply(session, Parameters())
    twin: Any = copied(session.model)
    assert twin.hidden[0] is twin.hidden_0
    assert twin.scales[0] is twin.scales_0
    x = table()[0]
    assert torch.equal(twin.eval()(x), session.model.eval()(x))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_new_head_is_trained_as_if_the_optimizer_came_later(name: str) -> None:
    """Every loss and weight is that of the script that makes its optimizer after the last change of the model."""

    def make(*, late: bool) -> Program:
        made = program(mlp, lambda model: OPTIMIZERS[name](model.parameters()))
        made.model[4] = nn.Linear(8, 3)  # type: ignore[index]
        if late:
            made.optimizer = OPTIMIZERS[name](made.model.parameters())
        return made

    repaired, expected = run(make(late=False), usual, PLAN), run(make(late=True), usual, watched=False)
    assert repaired.losses == expected.losses
    assert all(torch.equal(a, b) for a, b in zip(repaired.weights(), expected.weights(), strict=True))
    assert len(repaired.optimizer.param_groups[0]["params"]) == 8


def test_it_joins_the_group_of_what_was_lost() -> None:
    """A new head gets the rate of the old one, its bias the decay of the old bias; names are kept in step."""
    model = mlp()
    groups = [
        {"params": [(n, p) for n, p in model[:4].named_parameters()], "lr": 0.001},
        {"params": [("4.weight", model[4].weight)], "lr": 0.1},
        {"params": [("4.bias", model[4].bias)], "lr": 0.1, "weight_decay": 0.0},
    ]
    optimizer = SGD(groups, lr=0.01, weight_decay=0.1)
    model[4] = nn.Linear(8, 3)
    optimize_parameters.apply(session_of(model, table(), optimizer), Parameters())
    assert optimizer.param_groups[1]["params"][1] is model[4].weight
    assert optimizer.param_groups[2]["params"][1] is model[4].bias
    assert optimizer.param_groups[2]["param_names"] == ["4.bias", "4.bias"]
    assert [len(group["params"]) for group in optimizer.param_groups] == [4, 2, 2]


def test_another_networks_optimizer_is_left_alone() -> None:
    """What a discriminator's optimizer holds is not lost by the generator: the new layer joins the generator's own."""
    model, judge = mlp(), mlp()
    own = SGD(model.parameters(), lr=0.1)
    model.append(nn.Linear(3, 3))
    session = Session(model, [SGD(judge.parameters(), lr=0.1), own], [])
    optimize_parameters.apply(session, Parameters())
    assert [len(optimizer.param_groups[0]["params"]) for optimizer in session.optimizers] == [6, 8]


def test_only_the_named_layers() -> None:
    """A backbone that is left out on purpose is not drawn in with the head."""
    model = mlp()
    optimizer = SGD(model[4].parameters(), lr=0.1)
    model[4] = nn.Linear(8, 3)
    optimize_parameters.apply(session_of(model, table(), optimizer), Parameters(layers=("4",)))
    held = optimizer.param_groups[0]["params"]
    assert [any(p is one for one in held) for p in model.parameters()] == [False] * 4 + [True] * 2
    session = hidden_session()
    optimize_parameters.apply(session, Parameters(layers=("hidden[0]",)))
    assert [key for key in session.model.state_dict() if "hidden" in key] == ["hidden_0.weight", "hidden_0.bias"]


def test_what_is_hidden_on_purpose() -> None:
    """A frozen teacher, a module set around torch, and the owner of the model are not registered."""

    class Owner(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model, self.more = model, nn.Linear(2, 2)

    session = session_of(mlp(), table())
    model: Any = session.model
    model.teacher = [mlp().requires_grad_(False)]
    model.__dict__["shadow"] = mlp()
    model.owner = [Owner(model)]
    model.table = [torch.zeros(3)]
    with pytest.raises(CannotApply, match="has every parameter"):
        optimize_parameters.apply(session, Parameters())


def test_lbfgs_sees_what_joins() -> None:
    """It keeps its parameters in a list of its own, which is the same list."""
    model = mlp()
    optimizer = LBFGS(model.parameters())
    model[4] = nn.Linear(8, 3)
    optimize_parameters.apply(session_of(model, table(), optimizer), Parameters())
    assert optimizer._params[-1] is model[4].bias


def test_candidates_name_what_looks_untrained() -> None:
    """First the fresh ones of the layers that were found, then all of these; none without a finding."""

    def found(rule: str, *layers: str, **facts: Any) -> list[tuple[str, ...] | None]:
        finding = Finding(message="", numbers=(), confidence=0.9, rule=rule, layers=layers)
        diagnosis = diagnosis_of().model_copy(update={"findings": (finding,)})
        return [c.layers for c in optimize_parameters.candidates(diagnosis, Evidence(record_with(**facts)))]

    assert found("parameters_not_optimized", "0", "4", fresh_layers=["4", "9"]) == [("4",), ("0", "4")]
    assert found("parameters_not_optimized", "4", fresh_layers=["4"]) == [("4",)]
    assert found("unregistered_parameters", "hidden[0]", hidden_fresh=["hidden[0]"]) == [("hidden[0]",)]
    assert found("parameters_not_optimized") == [None]
    assert found("overfitting", "4") == []
