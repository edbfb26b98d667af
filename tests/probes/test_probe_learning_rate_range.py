"""The range test on problems whose limit of stability is known, and on networks that cannot learn."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from torch import Tensor, nn

from advisor.probes import Batch, Subject, known_probes, run_probe

NAME = "learning_rate_range"


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def subject(
    model: nn.Module,
    batches: Sequence[Batch],
    loss: Callable[[Any, Batch], Tensor],
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] | None = None,
) -> Subject:
    def sgd(copy: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(copy.parameters(), lr=0.01)

    return Subject(model, optimizer or sgd, loss, batches)


class Quadratic(nn.Module):
    """Half the sum of curvature times weight squared, from weights of 1."""

    def __init__(self, curvature: Sequence[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(len(curvature), dtype=torch.float64))
        self.register_buffer("curvature", torch.tensor(curvature, dtype=torch.float64))

    def forward(self, _: Tensor) -> Tensor:
        return (self.get_buffer("curvature") * self.weight**2).sum() / 2


NOTHING = Batch((torch.zeros(1),), {}, None)


@pytest.mark.parametrize("curvature", [[1.0], [40.0], [1000.0], [100.0, 50.0, 1.0]])
def test_limit_of_a_quadratic(curvature: list[float]) -> None:
    """Gradient descent is stable below 2/λ: the highest rate that holds is that, within a step or two of the sweep."""
    result = run_probe(NAME, subject(Quadratic(curvature), [NOTHING], lambda loss, _: loss))
    limit = 2 / max(curvature)
    stable, suggested, steepest = (result[key] for key in ("highest_stable", "suggested", "steepest"))
    assert isinstance(stable, float)
    assert isinstance(suggested, float)
    assert isinstance(steepest, float)
    assert limit / 1.5 < stable < limit * 1.05
    assert 0 < suggested <= stable / 2
    assert 0 < steepest < limit


def test_group_rates_keep_their_proportions() -> None:
    """With a second group at a tenth of the rate, the limit is that of the first one's curvature."""
    model = nn.ModuleDict({"fast": Quadratic([10.0]), "slow": Quadratic([10.0])})

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = model

        def forward(self, x: Tensor) -> Tensor:
            both: Tensor = self.parts["fast"](x) + self.parts["slow"](x)
            return both

    def groups(copy: nn.Module) -> torch.optim.Optimizer:
        fast, slow = copy.get_submodule("parts.fast"), copy.get_submodule("parts.slow")
        return torch.optim.SGD([{"params": fast.parameters()}, {"params": slow.parameters(), "lr": 0.001}], lr=0.01)

    result = run_probe(NAME, subject(Both(), [NOTHING], lambda loss, _: loss, groups))
    stable = result["highest_stable"]
    assert isinstance(stable, float)
    assert 0.2 / 1.5 < stable < 0.2 * 1.05
    assert result["used"] == 0.01


def classification(model: nn.Module, batches: int = 4) -> Subject:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(3, 6, generator=generator) * 2
    found = []
    for _ in range(batches):
        targets = torch.randint(0, 3, (16,), generator=generator)
        inputs = centres[targets] + torch.randn(16, 6, generator=generator)
        found.append(Batch((inputs,), {}, targets))

    def loss(outputs: Tensor, batch: Batch) -> Tensor:
        assert batch.target is not None
        return F.cross_entropy(outputs, batch.target)

    return subject(model, found, loss)


def test_network_that_learns() -> None:
    """A rate comes out at which a fresh copy trains: its loss is below a third after 60 steps."""
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    given = classification(model)
    result = run_probe(NAME, given)
    copy = given.fresh_model()
    optimizer = torch.optim.SGD(copy.parameters(), lr=float(str(result["suggested"])))
    losses = []
    for step in range(60):
        batch = given.batches[step % 4]
        optimizer.zero_grad()
        loss = given.loss(copy(*batch.args), batch)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 3


def dead() -> nn.Module:
    """Every hidden unit is off for every input."""
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    nn.init.constant_(model[0].bias, -100.0)
    return model


def vanishing() -> nn.Module:
    """Twenty sigmoids: hardly a gradient comes through."""
    layers: list[nn.Module] = [nn.Linear(6, 16), nn.Sigmoid()]
    for _ in range(20):
        layers += [nn.Linear(16, 16), nn.Sigmoid()]
    return nn.Sequential(*layers, nn.Linear(16, 3))


def constant() -> nn.Module:
    """All weights frozen but one that does nothing."""
    model = nn.Sequential(nn.Linear(6, 3)).requires_grad_(requires_grad=False)
    model.register_parameter("idle", nn.Parameter(torch.zeros(1)))
    return model


@pytest.mark.parametrize("make", [dead, vanishing, constant])
def test_network_that_cannot_learn_gets_no_suggestion(make: Callable[[], nn.Module]) -> None:
    """Where the loss never falls beyond what biases bring, the answer is None, with the numbers that say why."""
    result = run_probe(NAME, classification(make()))
    assert [result[key] for key in ("suggested", "steepest")] == [None, None]
    assert "no more than noise" in str(result["reason"])


def test_a_network_that_nothing_moves_has_no_limit() -> None:
    """All rates hold, so that the highest of them says nothing."""
    assert run_probe(NAME, classification(constant()))["highest_stable"] is None


def test_a_network_that_is_slow_has_its_limit() -> None:
    """The loss falls at no rate of the sweep, and the rate at which a short training ends higher is known."""
    result = run_probe(NAME, classification(dead()))
    stable = result["highest_stable"]
    assert isinstance(stable, float)
    assert 1e-3 < stable < 10.0
    assert result["losses"]


def test_labels_without_a_pattern_are_no_reason_to_be_sure() -> None:
    """Fresh random labels at every call never fall: None."""
    given = classification(nn.Sequential(nn.Linear(6, 3)))
    noisy = Subject(
        given.model,
        given.optimizer,
        lambda outputs, _: F.cross_entropy(outputs, torch.randint(0, 3, (16,))),
        given.batches,
    )
    assert run_probe(NAME, noisy)["suggested"] is None


def test_hard_batches_are_no_rise() -> None:
    """Batches whose losses differ a hundredfold give the limit of the curvature that both share."""
    model = Quadratic([10.0])
    easy, hard = Batch((torch.zeros(1),), {}, torch.tensor(0.0)), Batch((torch.zeros(1),), {}, torch.tensor(500.0))

    def loss(value: Tensor, batch: Batch) -> Tensor:
        assert batch.target is not None
        return value + batch.target

    quiet = run_probe(NAME, subject(model, [easy], loss))
    mixed = run_probe(NAME, subject(model, [easy, hard, easy], loss))
    assert quiet["highest_stable"] is not None
    losses = mixed["losses"]
    assert isinstance(losses, list)
    assert float(str(losses[0])) == pytest.approx(5 + 500 / 3)


@pytest.mark.parametrize("broken", ["no batch", "not finite"])
def test_nothing_to_measure(broken: str) -> None:
    """No batch, or a loss that is NaN from the start: None, and the reason."""
    model = Quadratic([1.0] if broken == "no batch" else [math.nan])
    batches = [] if broken == "no batch" else [NOTHING]
    result = run_probe(NAME, subject(model, batches, lambda loss, _: loss))
    assert result["suggested"] is None
    assert broken in str(result["reason"])


def test_subject_is_left_alone() -> None:
    """The copy that a probe gets keeps its weights and its mode; the result is plain JSON."""
    given = classification(nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)).eval())
    before = {key: value.clone() for key, value in given.model.state_dict().items()}
    result = run_probe(NAME, given)
    assert all(torch.equal(before[key], value) for key, value in given.model.state_dict().items())
    assert not given.model.training
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_is_known() -> None:
    """The probe is found by being in the folder."""
    assert NAME in known_probes()
