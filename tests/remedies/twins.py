"""The same small training twice: a faulty script under a plan, and the script written correctly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.plan import Plan
from advisor.record import Record

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
EPOCHS = 3


def run(
    make: Callable[[], nn.Module],
    loss: Loss,
    data: tuple[Tensor, Tensor],
    plan: Plan | None = None,
    *,
    loss_fn: Any = None,
    batches_by_hand: bool = False,
    lr: float = 0.1,
) -> tuple[list[float], nn.Module, Record]:
    """Losses of all steps and of the validation after each epoch, the trained model, and the record.

    loss: (model, x, y) -> the loss, as a loop writes it
    """
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    loader = DataLoader(TensorDataset(*data), batch_size=8)
    batches = list(zip(data[0].split(8), data[1].split(8), strict=True)) if batches_by_hand else loader
    watch = advisor.watch(
        range(EPOCHS), model, optimizer, loss_fn, train=None if batches_by_hand else loader, plan=plan, report=False
    )
    losses: list[float] = []
    for _ in watch:
        model.train()
        for x, y in batches:
            optimizer.zero_grad()
            value = loss(model, x, y)
            value.backward()
            optimizer.step()
            losses.append(float(value.detach()))
        model.eval()
        with torch.no_grad():
            losses += [float(loss(model, x, y)) for x, y in batches]
    return losses, model, watch.record


def assert_same(one: list[float], other: list[float], *, within: float = 1e-5) -> None:
    """All losses agree to rounding, and they are numbers."""
    assert len(one) == len(other)
    assert torch.allclose(torch.tensor(one), torch.tensor(other), rtol=within, atol=within), (one, other)
    assert torch.isfinite(torch.tensor(one)).all()
