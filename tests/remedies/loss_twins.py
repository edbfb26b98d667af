"""A script under a plan, and the script as it should have been written: the losses of both, to be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.plan import Plan
from advisor.record import Record


@dataclass
class Ran:
    """train, val: every loss that the loop got, in order; weights: afterwards."""

    train: Tensor
    val: Tensor
    weights: Tensor
    record: Record


def run(
    model: nn.Module,
    data: tuple[Tensor, ...],
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    plan: Plan | None = None,
    *,
    val_loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    given: bool = True,
    epochs: int = 3,
    lr: float = 0.1,
) -> Ran:
    """Train on three quarters of the data and validate on the rest. given: whether `watch` is told of the loss."""
    torch.manual_seed(1)
    cut = len(data[0]) * 3 // 4
    train = DataLoader(TensorDataset(*(part[:cut] for part in data)), batch_size=10, shuffle=True)
    val = DataLoader(TensorDataset(*(part[cut:] for part in data)), batch_size=50)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    losses: dict[str, list[Tensor]] = {"train": [], "val": []}
    watch: Any = advisor.watch(
        range(epochs), model, optimizer, loss_fn if given else None, train=train, val=val, plan=plan, report=False
    )
    for _ in watch:
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            losses["train"].append(loss.detach())
        model.eval()
        with torch.no_grad():
            losses["val"] += [(val_loss or loss_fn)(model(x), y) for x, y in val]
    weights = torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])
    return Ran(torch.stack(losses["train"]), torch.stack(losses["val"]), weights, watch.record)


def same(one: Ran, other: Ran) -> bool:
    """Whether both computed the same losses and weights, to float tolerance, and nothing broke."""
    pairs = ((one.train, other.train), (one.val, other.val), (one.weights, other.weights))
    return one.record.problems == () and all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in pairs)


def at_end(ran: Ran, series: str) -> float:
    """The end of a series of the record: how often a clean pass is made depends on the clock, its end does not."""
    return float(ran.record.series[series].values[-1, 0])
