"""safe_sqrt: gradients stay numbers where a root, a power, a quotient or a logarithm meets zero."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from sessions import diagnosis_of, record_with, session_of, table
from torch import Tensor, nn
from twins import assert_same, run

from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, safe_sqrt
from advisor.remedies._calls import NAMES, Called
from advisor.remedies.safe_sqrt import KeptOff, Parameters

LABELS = table()
TARGETS = LABELS[0], LABELS[0][:, :3] * (torch.arange(24)[:, None] % 2)  # every second one is zero
PLAN = Plan.of("safe_sqrt")
EPS = 1e-8


class Distances(nn.Module):
    """Distances to centres that lie on samples."""

    def __init__(self, eps: float = 0.0) -> None:
        super().__init__()
        self.centres, self.out, self.eps = nn.Parameter(LABELS[0][:5].clone()), nn.Linear(5, 3), eps

    def forward(self, x: Tensor) -> Tensor:
        squares = ((x[:, None] - self.centres) ** 2).sum(2)
        scores: Tensor = self.out(torch.sqrt(squares + self.eps) if self.eps else torch.sqrt(squares))
        return scores


def distances() -> Session:
    return session_of(Distances(), table())


FITTING = (distances,)


class Euclidean(nn.Module):
    """A loss of the user's own."""

    def __init__(self, eps: float = 0.0) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        squares = ((output - target) ** 2).sum(1)
        return torch.sqrt(squares + self.eps if self.eps else squares).mean()


class Zero(nn.Module):
    """Gives exact zeros for every second sample at first, so that the loss meets its singularity."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.out(x)
        return scores


def test_in_the_model() -> None:
    """sqrt(x) in a forward becomes sqrt(x + eps), in training and in evaluation, and stays so."""

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x), y)

    repaired, model, record = run(Distances, loss, LABELS, PLAN)
    right, twin, _ = run(lambda: Distances(EPS), loss, LABELS)
    assert repaired == right
    assert math.isnan(run(Distances, loss, LABELS)[0][-1])  # what it was
    assert torch.equal(model(LABELS[0]), twin(LABELS[0]))
    found = {"eps": EPS, "in_model": True, "in_loss_fn": False, "in_loop": False}
    assert found == record.facts["remedy.safe_sqrt"]


@pytest.mark.parametrize("given", [True, False], ids=["loss_fn given", "not given"])
def test_in_a_loss_of_the_users_own(given: bool) -> None:
    """A module that takes the root of squares is reached, whether watch knows it or not."""
    faulty, fixed = Euclidean(), Euclidean(EPS)

    def using(own: nn.Module) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
        return lambda model, x, y: own(model(x), y)

    repaired, _, record = run(Zero, using(faulty), TARGETS, PLAN, loss_fn=faulty if given else None)
    assert_same(repaired, run(Zero, using(fixed), TARGETS)[0], within=1e-6)
    assert math.isnan(run(Zero, using(faulty), TARGETS)[0][-1])
    assert record.problems == ()
    note = record.facts["remedy.safe_sqrt"]
    assert isinstance(note, dict)
    assert (note["in_loss_fn"], note["in_loop"]) == (given, not given)
    zero = torch.zeros(2, 3)
    assert float(faulty(zero, zero)) == 0  # after the loop it is as it was


def test_in_the_loop_itself() -> None:
    """A root of mse_loss that is written in the loop, or in a function, is reached; the optimizer's roots are not."""

    def rmse(eps: float) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
        return lambda model, x, y: torch.sqrt(F.mse_loss(model(x), y) + eps if eps else F.mse_loss(model(x), y))

    data = LABELS[0], torch.zeros(24, 3)
    repaired, _, record = run(Zero, rmse(0), data, PLAN)
    right, _, _ = run(Zero, rmse(EPS), data)
    training = [i for i in range(len(right)) if i % 6 < 3]  # of three steps and three batches of validation an epoch
    assert_same([repaired[i] for i in training], [right[i] for i in training])
    assert math.isnan(run(Zero, rmse(0), data)[0][-1])
    assert record.facts["loss"] == "mse_loss"
    assert len(record.series["train_loss"].steps) == 3


def test_a_step_is_heard_once() -> None:
    """Below a mode torch calls tapped functions twice; the record has one loss a step all the same."""
    means: list[float] = []

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        value = F.mse_loss(model(x), y)
        if model.training:
            means.append(float(value.detach()))
        return value

    _, _, record = run(Zero, loss, TARGETS, PLAN)
    assert record.last_step == 9
    expected = torch.tensor(means).reshape(3, 3).mean(1)
    assert torch.allclose(expected, torch.from_numpy(record.series["train_loss"].values[:, 0]))


@pytest.mark.parametrize(
    "function",
    [
        torch.sqrt,
        lambda x: x.sqrt(),
        lambda x: x.clone().sqrt_(),
        lambda x: x**0.5,
        lambda x: torch.pow(x, 0.3),
        lambda x: x.pow(exponent=0.5),
        lambda x: x**-0.5,
        lambda x: x**-1,
        torch.rsqrt,
        torch.log,
        lambda x: torch.log2(x),
        lambda x: 1 / x,
        lambda x: torch.ones(3) / x,
        lambda x: torch.div(torch.ones(3), other=x),
        lambda x: x / x,
        torch.reciprocal,
        lambda x: torch.acos(1 + x),
        lambda x: torch.asin(x - 1),
    ],
)
def test_gradients_are_numbers(function: Callable[[Tensor], Tensor]) -> None:
    """Of every function whose slope is infinite at 0, or at ±1, in all its spellings."""

    class Once(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(3))

        def forward(self) -> Tensor:
            return torch.where(self.weight > 1, function(self.weight * 1), 0 * self.weight)

    session = session_of(Once(), table())
    session.model().sum().backward()
    assert not torch.isfinite(session.model.weight.grad).any()  # type: ignore[union-attr, arg-type]
    session.model.weight.grad = None
    safe_sqrt.apply(session, Parameters())
    session.model().sum().backward()
    assert torch.isfinite(session.model.weight.grad).all()  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x**2,
        lambda x: x**3.5,
        lambda x: x.norm(),
        lambda x: torch.linalg.vector_norm(x),
        lambda x: torch.cdist(x[None], x[None] + 0),
        lambda x: x.std(),
        lambda x: torch.dist(x, x.detach()),
    ],
)
def test_what_is_safe_is_left_alone(function: Callable[[Tensor], Tensor]) -> None:
    """Powers above 1, and torch's own norms and distances, have a gradient that is a number at zero already."""
    x = torch.zeros(3, requires_grad=True)
    function(x).sum().backward()
    assert torch.isfinite(x.grad).all()  # type: ignore[union-attr, arg-type]


def test_only_what_it_names_is_changed() -> None:
    """Integers, powers above 1 and numbers of Python pass as they are; a divisor keeps its sign."""
    change = KeptOff(EPS)

    def replaced(function: Callable[..., Tensor], *args: object) -> object:
        return change.replaced(Called(NAMES[function.__name__], function, args, {}))

    assert replaced(torch.sqrt, torch.arange(3)) is NotImplemented
    assert replaced(torch.pow, torch.ones(2), 2) is NotImplemented
    assert replaced(torch.pow, torch.ones(2), torch.ones(2)) is NotImplemented
    assert replaced(torch.div, torch.ones(2), 3.0) is NotImplemented
    given = replaced(torch.div, torch.ones(3), torch.tensor([4.0, 0.0, -1e-12]))
    assert isinstance(given, Tensor)
    assert torch.allclose(torch.tensor([0.25, 1e8, -1e8]), given)


def test_candidates() -> None:
    """1e-8 then 1e-6, where the rule fired or the record has a gradient that broke before its loss."""
    broke = Evidence(record_with(non_finite={"step": 5, "gradient_step": 4}))
    grew = Evidence(record_with(non_finite={"step": 5, "gradient_step": 5}))
    both = [Parameters(), Parameters(eps=1e-6)]
    assert both == safe_sqrt.candidates(diagnosis_of(), broke)
    assert both == safe_sqrt.candidates(diagnosis_of("non_finite_gradients"), Evidence(record_with()))
    assert [] == safe_sqrt.candidates(diagnosis_of(), grew)
    assert [] == safe_sqrt.candidates(diagnosis_of(), Evidence(record_with()))
