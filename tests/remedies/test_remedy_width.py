"""width: the sizes of the network that a person would write, whose optimizer trains it, and what is refused."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from sessions import Cnn, diagnosis_of, drive, images, mlp, record_with, same_losses, session_of, table
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.remedies import Session, width
from advisor.remedies.width import Parameters

NEW_WEIGHTS = True


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def perceptron(units: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(6, units), nn.BatchNorm1d(units), nn.PReLU(units), nn.Linear(units, units), nn.LayerNorm(units),
        nn.Tanh(), nn.Linear(units, 3),
    )  # fmt: skip


class Network(nn.Module):
    """Everything that a convolutional network has, k channels wide: a residual, a branch with the input, a flatten."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(1, k, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(k)
        self.depthwise = nn.Conv2d(k, k, 3, padding=1, groups=k)
        self.group = nn.GroupNorm(2, k)
        self.back = nn.ConvTranspose2d(k, k, 1)
        self.joined = nn.Conv2d(k + 1, 2 * k, 3, stride=2, padding=1)
        self.out = nn.Linear(2 * k * 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.norm(self.one(x)))
        hidden = hidden + self.back(F.relu(self.group(self.depthwise(hidden))))
        logits: Tensor = self.out(F.relu(self.joined(torch.cat([hidden, x], 1))).flatten(1))
        return logits


def state_of(session: Session) -> list[Tensor]:
    return [p.detach().clone() for p in session.model.parameters()]


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_sizes_are_those_of_the_network_written_so(factor: float) -> None:
    """Every parameter and buffer has the shape of the same network with another width, and so have the attributes."""
    for make, data in ((perceptron, table()), (Network, images())):
        model, expected = make(8), make(int(8 * factor))
        width.apply(session_of(model, data), Parameters(factor=factor))
        assert shapes(model) == shapes(expected)
        assert repr(model) == repr(expected)


def test_trained_as_the_network_written_so() -> None:
    """With the same weights the losses of a run are bit for bit those of the wide network and its own optimizer."""
    for make, data in ((perceptron, table()), (Network, images())):
        model, wide = make(8), make(16)
        session = session_of(model, data, torch.optim.Adam(model.parameters(), lr=0.01), epochs=3)
        parameters = list(model.parameters())
        width.apply(session, Parameters())
        assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
        wide.load_state_dict(model.state_dict())
        expected = session_of(wide, data, torch.optim.Adam(wide.parameters(), lr=0.01), epochs=3)
        assert same_losses(session, expected)


def test_initialised_as_torch_does_and_by_the_runs_seed() -> None:
    """Weights keep torch's bound 1/√inputs, norms begin at 1 and 0, two seeds give two networks, one gives one."""

    def network(seed: int) -> nn.Sequential:
        torch.manual_seed(seed)
        model = perceptron(8)
        width.apply(session_of(model, table()), Parameters(factor=4.0))
        return model

    model = network(1)
    largest = float(model[3].weight.detach().abs().max())
    assert 0.9 * 32**-0.5 < largest <= 32**-0.5
    assert torch.equal(model[1].weight, torch.ones(32))
    assert torch.equal(model[1].running_var, torch.ones(32))
    assert torch.equal(model[1].running_mean, torch.zeros(32))
    assert torch.equal(model[2].weight, torch.full((32,), 0.25))
    assert torch.equal(model[3].weight, network(1)[3].weight)
    assert not torch.equal(model[3].weight, network(2)[3].weight)


def test_copies_and_pickles() -> None:
    """Copies compute the same: nothing was hooked."""
    session = session_of(model := Cnn(), images())
    width.apply(session, Parameters())
    x = images()[0]
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301  our own bytes
        assert torch.equal(twin(x), model(x))


class Fixed(nn.Module):
    """Whose forward pass counts on a width: `reads` tells how."""

    def __init__(self, reads: str) -> None:
        super().__init__()
        self.reads, self.one, self.two = reads, nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.one(x))
        if self.reads == "view":
            hidden = hidden.view(-1, 8)
        if self.reads == "constant":
            hidden = hidden + torch.ones(8)
        if self.reads == "twice":
            hidden = self.one(hidden[:, :6])
        logits: Tensor = self.two(hidden)
        return logits


def test_refused_and_left_as_it_was() -> None:
    """Models whose widths are fixed elsewhere are refused, and their weights are what they were."""
    attention = nn.Sequential(nn.Linear(6, 8), nn.TransformerEncoderLayer(8, 2, 8, batch_first=True), nn.Linear(8, 3))
    tied = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    tied[2].weight = tied[0].weight
    frozen = mlp()
    frozen[0].requires_grad_(requires_grad=False)
    groups = nn.Sequential(nn.Linear(6, 6), nn.GroupNorm(6, 6), nn.Linear(6, 3))
    for reason, model in (
        ("gives other shapes", Fixed("view")),
        ("does not take other widths", Fixed("constant")),
        ("is not called once", Fixed("twice")),
        ("has parameters", attention),
        ("share a weight", tied),
        ("is frozen", frozen),
        ("do not make 6 groups", groups),
        ("no hidden layer changes its width", nn.Sequential(nn.Linear(6, 3))),
    ):
        session = session_of(model, table())
        before, text = state_of(session), repr(model)
        with pytest.raises(CannotApply, match=reason):
            width.apply(session, Parameters(factor=0.5))
        after = state_of(session)
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        assert repr(model) == text


def test_refused_after_a_step() -> None:
    """An optimizer that holds averages of the old sizes is refused."""
    session = session_of(model := mlp(), table(), torch.optim.Adam(model.parameters()), epochs=1)
    drive(session)
    with pytest.raises(CannotApply, match="has made steps already"):
        width.apply(session, Parameters())


def test_candidates() -> None:
    """Wider for what underfits, narrower for what overfits, both for nothing; only for fresh and plain networks."""

    def found(*rules: str, kinds: tuple[str, ...] = ("Linear", "Linear")) -> list[float]:
        evidence = Evidence(record_with(kinds=kinds, fresh_layers=["0", "1"]))
        return [choice.factor for choice in width.candidates(diagnosis_of(*rules), evidence)]

    assert found("underfitting") == [2.0, 4.0]
    assert found("overfitting") == [0.5]
    assert found() == [2.0, 0.5]
    assert found("underfitting", kinds=("Embedding", "Linear")) == []
    assert width.candidates(diagnosis_of("underfitting"), Evidence(record_with())) == []


def test_what_is_too_narrow_still_is_made_wider_yet() -> None:
    """Factors count from the widths of the script, and end at sixteen times those."""

    def found(factor: float) -> list[float]:
        facts = {"fresh_layers": ["0", "1"], "remedy.width": {"factor": factor, "changed": ["0"]}}
        evidence = Evidence(record_with(kinds=("Linear", "Linear"), **facts))
        return [choice.factor for choice in width.candidates(diagnosis_of("underfitting"), evidence)]

    assert found(4.0) == [8.0, 16.0]
    assert found(8.0) == [16.0]


def test_a_layer_of_a_few_numbers_may_look_trained() -> None:
    """The past of Linear(3, 1) cannot be told by its four numbers; that of a layer with hundreds can."""

    def found(parameters: tuple[int, ...], *fresh: str) -> list[float]:
        record = record_with(kinds=("Linear",) * len(parameters), fresh_layers=list(fresh))
        sized = [
            layer.model_copy(update={"parameters": n}) for layer, n in zip(record.info.layers, parameters, strict=True)
        ]
        record = dataclasses.replace(record, info=record.info.model_copy(update={"layers": tuple(sized)}))
        return [choice.factor for choice in width.candidates(diagnosis_of("underfitting"), Evidence(record))]

    assert found((15, 12, 4), "0", "1") == [2.0, 4.0]
    assert found((15, 400, 4), "0", "2") == []
    assert found((15, 12, 4)) == []
