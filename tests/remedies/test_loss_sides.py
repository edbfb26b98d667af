"""A plan in a loop that calls its loss as `loss_fn(target, output)`: it does what it does in the usual order."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.loss_changes import ChangedLoss, LossArguments, Sides
from advisor.plan import Plan
from advisor.record import Record

Data = tuple[Tensor, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
SERIES = ("train_loss", "val_loss", "val_r2", "val_accuracy", "clean_train_loss", "clean_train_r2", "prediction_std")


pytestmark = pytest.mark.usefixtures("every_step")


def inputs() -> Tensor:
    return torch.randn(64, 6, generator=torch.Generator().manual_seed(1))


def numbers() -> Data:
    x = inputs()
    return x, 3 * x.sum(1, keepdim=True) + 1


def pairs() -> Data:
    x = inputs()
    return x, torch.stack([5000 + 300 * x.sum(1), x[:, 0]], 1)


def flat() -> Data:
    x = inputs()
    return x, x.sum(1)


def incomplete() -> Data:
    x, y = numbers()
    y[::7] = math.nan
    return x, y


def one_hot() -> Data:
    x = inputs()
    return x, F.one_hot((x.sum(1) > 0).long() + (x.sum(1) > 1).long(), 3).float()


def yes_or_no() -> Data:
    x = inputs()
    return x, (x.sum(1, keepdim=True) > 1).float()


class Own(nn.Module):
    """A loss of the user's own."""

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return (one - other).square().mean()


@dataclass
class Ran:
    """Every loss that the loop got, its weights, and what was recorded."""

    losses: list[float]
    weights: Tensor
    record: Record


def run(data: Data, loss: Loss, plan: Plan, last: nn.Module, *, given: bool, target_first: bool) -> Ran:
    """Four epochs on three quarters of the data, validated on the rest."""
    torch.manual_seed(0)
    x, y = data
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1 if y.dim() < 2 else y.shape[1]), last)
    optimizer = torch.optim.SGD(model.parameters(), 0.02)
    train = DataLoader(TensorDataset(x[:48], y[:48]), 16, shuffle=True, generator=torch.Generator().manual_seed(3))
    val = DataLoader(TensorDataset(x[48:], y[48:]), 16)

    def compared(output: Tensor, target: Tensor) -> Tensor:
        return loss(target, output) if target_first else loss(output, target)

    losses: list[Tensor] = []
    watch = advisor.watch(
        range(4), model, optimizer, loss if given else None, train=train, val=val, plan=plan, report=False
    )
    for _ in watch:
        model.train()
        for xb, yb in train:
            optimizer.zero_grad()
            losses.append(compared(model(xb), yb))
            losses[-1].backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            losses += [compared(model(xb), yb) for xb, yb in val]
    assert watch.record.problems == ()
    weights = torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])
    return Ran([one.item() for one in losses], weights, watch.record)


@pytest.mark.parametrize(
    ("plan", "data", "loss", "last", "given"),
    [
        (Plan.of("standardise_targets"), pairs, F.mse_loss, nn.Identity(), False),
        (Plan.of("standardise_targets"), numbers, nn.HuberLoss(), nn.Identity(), True),
        (Plan.of("robust_loss"), numbers, F.mse_loss, nn.Identity(), False),
        (Plan.of("robust_loss", delta=0.7), numbers, nn.MSELoss(), nn.Identity(), True),
        (Plan.of("match_target_shape"), flat, F.l1_loss, nn.Identity(), False),
        (Plan.of("match_target_shape"), flat, Own(), nn.Identity(), True),
        (Plan.of("match_target_shape") + Plan.of("robust_loss"), flat, F.mse_loss, nn.Identity(), False),
        (Plan.of("mixup"), numbers, F.mse_loss, nn.Identity(), False),
        (Plan.of("fill_missing"), incomplete, F.mse_loss, nn.Identity(), False),
        (Plan.of("mean_reduction"), numbers, nn.MSELoss(reduction="sum"), nn.Identity(), False),
        (Plan.of("loss_balance", term="mse_loss", factor=0.1), numbers, F.mse_loss, nn.Identity(), False),
        (Plan.of("use_cross_entropy"), one_hot, F.mse_loss, nn.Softmax(1), False),
        (Plan.of("use_cross_entropy"), yes_or_no, F.mse_loss, nn.Sigmoid(), False),
        (Plan.of("use_cross_entropy", own=True), one_hot, Own(), nn.Identity(), True),
    ],
    ids=lambda value: str(value) if isinstance(value, Plan) else getattr(value, "__name__", None),
)
def test_the_order_does_not_matter(
    plan: Plan, data: Callable[[], Data], loss: Loss, last: nn.Module, *, given: bool
) -> None:
    """Losses and weights are those of the usual order, and so is what the record says of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch's, of shapes that are broadcast
        usual, other = (run(data(), loss, plan, last, given=given, target_first=first) for first in (False, True))
    assert usual.losses == pytest.approx(other.losses, rel=1e-5, nan_ok=True)
    assert torch.allclose(usual.weights, other.weights)
    notes = [{k: v for k, v in ran.record.facts.items() if k.startswith("remedy.")} for ran in (usual, other)]
    assert notes[0] == notes[1] != {}
    for name in SERIES:
        assert (name in usual.record) == (name in other.record)
        if name in usual.record:
            expected = usual.record.series[name].values
            assert expected == pytest.approx(other.record.series[name].values, rel=1e-4, nan_ok=True), name


def test_sides_of_a_call() -> None:
    """Gradients tell them apart; without any, what was seen of this function holds, and else the usual order."""
    name_sides = Sides()
    plain, computed = torch.zeros(2), torch.ones(2, requires_grad=True)
    usual = LossArguments("mse_loss", {"input": computed, "target": plain})
    assert name_sides(usual) is usual
    turned = name_sides(LossArguments("l1_loss", {"input": plain, "target": computed, "reduction": "sum"}))
    assert turned.output is computed
    assert turned.target is plain
    assert (turned.target_first, turned.given["reduction"]) == (True, "sum")
    one, other = torch.zeros(3), torch.ones(3)
    for loss, target_first in (("mse_loss", False), ("l1_loss", True), ("huber_loss", False)):
        found = name_sides(LossArguments(loss, {"input": one, "target": other}))
        assert found.target_first is target_first
        assert found.output is (other if target_first else one)


def test_the_function_that_the_loop_calls_gets_its_order() -> None:
    """kl_div is not the same either way round: what a plan leaves alone is computed as the loop wrote it."""
    target = torch.tensor([0.5, 0.25])
    output = torch.tensor([0.75, 0.5], requires_grad=True)
    expected = F.kl_div(target, output, reduction="sum")
    changed = ChangedLoss("kl_div", F.kl_div, [Sides()], getattr)
    assert torch.equal(expected, changed(target, output, reduction="sum"))
    exchanged = ChangedLoss(
        "kl_div", F.kl_div, [Sides(), lambda call: call.exchanged("poisson_nll_loss", **call.given)], _functional
    )
    assert torch.equal(F.poisson_nll_loss(output, target), exchanged(target, output))


def _functional(name: str) -> Any:
    return getattr(F, name)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # asked for by the compiler itself
def test_a_compiled_loss() -> None:
    """The sides are told apart within a compiled region too, without a break of its graph."""
    torch.compiler.reset()

    @torch.compile(backend="eager", fullgraph=True)
    def compiled(one: Tensor, other: Tensor) -> Tensor:
        return F.mse_loss(one, other)

    plan = Plan.of("robust_loss", delta=0.7)
    usual = run(numbers(), F.mse_loss, plan, nn.Identity(), given=False, target_first=False)
    other = run(numbers(), compiled, plan, nn.Identity(), given=False, target_first=True)
    assert usual.losses == pytest.approx(other.losses, rel=1e-5)
