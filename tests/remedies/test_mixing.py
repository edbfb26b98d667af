"""Mixed batches and the losses that go with them: against share · loss(y) + (1 - share) · loss(y[order]) by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from sessions import mlp, session_of, table, watched
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.loss_changes import LossArguments
from advisor.plan import Plan
from advisor.remedies import Session
from advisor.remedies._mixing import start, were_mixed

SHARE = 0.7


class Order:
    """What a mix was given, so that a test can do the same by hand."""

    def __init__(self) -> None:
        self.orders: list[Tensor] = []

    def __call__(self, inputs: Tensor, order: Tensor) -> tuple[Tensor, float]:
        self.orders.append(order)
        return SHARE * inputs + (1 - SHARE) * inputs[order], SHARE


def mixing(data: tuple[Tensor, Tensor] | None = None) -> tuple[Session, Order]:
    session = session_of(mlp(), data or table(8), epochs=3)
    start(session, "mixup", order := Order(), images=False)
    return session, order


def loss(session: Session, name: str, output: Tensor, target: Tensor, **given: Any) -> Tensor:
    """A call of one of torch's loss functions as the plan changes it."""
    call = LossArguments(name, {"input": output, "target": target, **given})
    for change in session.loss_changes:
        call = change(call)
    value: Tensor = getattr(F, call.name)(**call.given)
    return value


def learnt(
    session: Session, inputs: Tensor, target: Tensor, name: str, to: Callable[[Tensor], Tensor], *, dense: bool = False
) -> None:
    """The first epoch: one batch and its loss."""
    (change,) = session.batch_changes
    assert change((inputs, target))[0] is inputs
    call = LossArguments(name, {"input": torch.randn(8, 3, *([2, 2] if dense else [])), "target": to(target)})
    assert all(change(call) is call for change in session.loss_changes)
    session.epoch_actions[0](None)  # type: ignore[arg-type]  # it asks the epoch nothing


WEIGHT = torch.tensor([1.0, 2.0, 0.5])
CLASSES = [
    {},
    {"weight": WEIGHT},
    {"label_smoothing": 0.1},
    {"weight": WEIGHT, "label_smoothing": 0.2, "ignore_index": 1},
    {"ignore_index": 1},
    {"reduction": "sum", "weight": WEIGHT, "label_smoothing": 0.1},
    {"reduction": "none", "ignore_index": 2},
]


@pytest.mark.parametrize("given", CLASSES, ids=str)
def test_cross_entropy_of_classes(given: dict[str, Any]) -> None:
    """Value and gradient are those of the two losses, with weights, ignored targets, smoothing and any reduction."""
    inputs, target = table(8)
    session, order = mixing()
    learnt(session, inputs, target, "cross_entropy", lambda y: y)
    mixed, same = session.batch_changes[0]((inputs, target))
    assert same is target
    assert torch.equal(mixed, order(inputs, order.orders[0])[0])
    output = torch.randn(8, 3, requires_grad=True)
    found = loss(session, "cross_entropy", output, target, **given)
    by_hand = SHARE * F.cross_entropy(output, target, **given) + (1 - SHARE) * F.cross_entropy(
        output, target[order.orders[0]], **given
    )
    assert torch.allclose(found, by_hand, atol=1e-6)
    (one,) = torch.autograd.grad(found.sum(), output)
    (other,) = torch.autograd.grad(by_hand.sum(), output)
    assert torch.allclose(one, other, atol=1e-6)


def test_nll_loss_of_classes() -> None:
    """Logarithms of probabilities are passed through cross_entropy unchanged."""
    inputs, target = table(8)
    session, order = mixing()
    learnt(session, inputs, target, "nll_loss", lambda y: y)
    session.batch_changes[0]((inputs, target))
    output = torch.randn(8, 3).log_softmax(1)
    found = loss(session, "nll_loss", output, target, weight=WEIGHT)
    by_hand = SHARE * F.nll_loss(output, target, WEIGHT) + (1 - SHARE) * F.nll_loss(
        output, target[order.orders[0]], WEIGHT
    )
    assert torch.allclose(found, by_hand, atol=1e-6)


def test_dense_classes() -> None:
    """Targets (N, H, W) are mixed position by position."""
    inputs = table(8)[0]
    target = torch.randint(0, 3, (8, 2, 2))
    session, order = mixing((inputs, target))
    learnt(session, inputs, target, "cross_entropy", lambda y: y, dense=True)
    session.batch_changes[0]((inputs, target))
    output = torch.randn(8, 3, 2, 2, requires_grad=True)
    found = loss(session, "cross_entropy", output, target)
    by_hand = SHARE * F.cross_entropy(output, target) + (1 - SHARE) * F.cross_entropy(output, target[order.orders[0]])
    assert torch.allclose(found, by_hand, atol=1e-6)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "binary_cross_entropy_with_logits"])
def test_floating_targets_are_mixed_themselves(name: str) -> None:
    """Also where the loop makes them of whole numbers and gives them another shape."""
    inputs, target = table(8)
    target = target.clamp(max=1)
    session, order = mixing((inputs, target))
    learnt(session, inputs, target, name, lambda y: y.float().unsqueeze(1))
    session.batch_changes[0]((inputs, target))
    output, own = torch.randn(8, 1, requires_grad=True), target.float().unsqueeze(1)
    found = loss(session, name, output, own)
    assert torch.equal(found, getattr(F, name)(output, SHARE * own + (1 - SHARE) * own[order.orders[0]]))


def ready() -> tuple[Session, Order, Tensor, Tensor]:
    inputs, target = table(8)
    session, order = mixing()
    learnt(session, inputs, target, "cross_entropy", lambda y: y)
    return session, order, inputs, target


def test_each_loss_finds_its_own_batch() -> None:
    """With batches loaded ahead, a loss gets the order of the batch that its target is of."""
    session, order, inputs, target = ready()
    later = (target + 1) % 3
    session.batch_changes[0]((inputs, target))
    session.batch_changes[0]((inputs, later))
    output = torch.randn(8, 3, requires_grad=True)
    for own, drawn in zip((target, later), order.orders, strict=True):
        by_hand = SHARE * F.cross_entropy(output, own) + (1 - SHARE) * F.cross_entropy(output, own[drawn])
        assert torch.allclose(loss(session, "cross_entropy", output, own), by_hand, atol=1e-6)


def test_other_losses_and_validation_are_left_alone() -> None:
    """A target that is not the batch's, one of another length, a loss without gradients, and an autoencoder's."""
    session, _, inputs, target = ready()
    mixed, _ = session.batch_changes[0]((inputs, target))
    output = torch.randn(8, 3, requires_grad=True)
    for name, given, other in (
        ("cross_entropy", output, (target + 1) % 3),
        ("cross_entropy", output[:5], target[:5]),
        ("mse_loss", mixed * 2, mixed),
        ("mse_loss", output, torch.zeros(8, 3)),
    ):
        assert torch.allclose(loss(session, name, given, other), getattr(F, name)(given, other))
    with torch.no_grad():
        assert torch.equal(loss(session, "cross_entropy", output, target), F.cross_entropy(output, target))


def test_every_loss_of_the_batch_is_mixed() -> None:
    """Two heads with the same target, or a second pass over the batch, get the same mix."""
    session, _, inputs, target = ready()
    session.batch_changes[0]((inputs, target))
    output = torch.randn(8, 3, requires_grad=True)
    first = loss(session, "cross_entropy", output, target)
    assert torch.equal(first, loss(session, "cross_entropy", output, target))
    assert not torch.allclose(first, F.cross_entropy(output, target))


def test_nothing_is_mixed_without_a_loss_that_is_known() -> None:
    """A loop whose loss never gets the batch's target keeps its batches."""
    inputs, target = table(8)
    session, order = mixing()
    learnt(session, inputs, target, "cross_entropy", lambda y: (y + 1) % 3)
    batch = (inputs, target)
    assert session.batch_changes[0](batch) is batch
    assert order.orders == []


def test_refused() -> None:
    """No batch to look at, token numbers, one epoch, and for images targets that are images."""
    for reason, session, images in (
        ("no training batch", session_of(mlp(), table()), False),
        ("of numbers", session_of(mlp(), (torch.zeros(8, 4, dtype=torch.long), table(8)[1])), False),
        (r"\(N, C, H, W\)", session_of(mlp(), table()), True),
        ("there is no second", session_of(mlp(), table(), epochs=1), False),
        ("targets are images too", session_of(mlp(), (torch.zeros(8, 1, 4, 4), torch.zeros(8, 4, 4))), True),
    ):
        if reason.startswith("no training"):
            session._example = None
        with pytest.raises(CannotApply, match=reason):
            start(session, "mixup", Order(), images=images)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_watched_run_is_that_of_the_loop_by_hand(name: str) -> None:
    """The weights after a watched run are those of a loop that mixes the batches and the losses by hand."""
    data = (torch.randn(24, 1, 8, 8), torch.arange(24) % 3)
    model, twin = (nn.Sequential(nn.Flatten(), nn.Linear(64, 3)) for _ in range(2))
    twin.load_state_dict(model.state_dict())

    torch.manual_seed(5)
    session = session_of(model, data, epochs=3)
    record = watched(session, Plan.of(name))
    assert record.problems == ()
    assert were_mixed(record, name)

    torch.manual_seed(5)
    other = session_of(twin, data, epochs=3)
    load_and_train(other, name)
    for mine, expected in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(mine, expected, atol=1e-6)


def load_and_train(session: Session, name: str) -> None:
    """What a person would write, with the draws of the remedy."""
    import numpy as np

    from advisor.remedies._random import own_generator, seed_of
    from advisor.remedies.cutmix import rectangle

    orders, draws = own_generator(name), np.random.default_rng(seed_of(f"{name} share"))
    assert session.train is not None
    for epoch in range(3):
        for x, y in session.train:
            order = torch.randperm(len(x), generator=orders)
            share = 1.0
            if epoch and name == "mixup":
                share = draws.beta(0.2, 0.2)
                x = share * x + (1 - share) * x[order]
            elif epoch:
                top, bottom, left, right = rectangle(8, 8, draws.beta(1.0, 1.0), draws)
                x, source = x.clone(), x
                x[:, :, top:bottom, left:right] = source[order][:, :, top:bottom, left:right]
                share = 1 - (bottom - top) * (right - left) / 64
            output = session.model(x)
            session.optimizers[0].zero_grad()
            (share * F.cross_entropy(output, y) + (1 - share) * F.cross_entropy(output, y[order])).backward()
            session.optimizers[0].step()
        for _ in session.train:  # `watched` validates on it: its shuffle draws too
            pass
