"""A user's loop with a fault or without it, watched with a plan or not at all -> its losses and its weights.

A loop is a function `loop(program)` that trains one epoch and validates; two loops that differ by the fault are what a
repair of wiring is measured by: the faulty one under the plan must give what the other gives by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.plan import Plan
from advisor.record import Record, RunInfo
from advisor.watching import Watch

EPOCHS = 4


@dataclass
class Program:
    """What a script makes before its loop, and what the loop leaves."""

    model: nn.Module
    optimizer: Optimizer
    train: DataLoader[Any]
    val: DataLoader[Any]
    scheduler: Any = None
    losses: list[float] = field(default_factory=list)
    record: Record = field(default_factory=lambda: Record(RunInfo()))

    def step(self, x: Tensor, y: Tensor, *, clear: bool = True) -> None:
        """What most loops do with a batch."""
        if clear:
            self.optimizer.zero_grad()
        self.backward(x, y)
        self.optimizer.step()

    def backward(self, x: Tensor, y: Tensor) -> None:
        loss = F.cross_entropy(self.model(x), y)
        loss.backward()
        self.losses.append(loss.item())

    def validate(self) -> None:
        """What most loops do with the validation data, but for the mode."""
        with torch.no_grad():
            for x, y in self.val:
                self.losses.append(F.cross_entropy(self.model(x), y).item())

    def weights(self) -> list[Tensor]:
        return [value.clone() for value in self.model.state_dict().values()]


def program(
    model: Callable[[], nn.Module],
    optimizer: Callable[[nn.Module], Optimizer] = lambda model: torch.optim.SGD(model.parameters(), 0.1, momentum=0.9),
    data: tuple[Tensor, Tensor] | None = None,
    *,
    batch_size: int = 8,
    scheduler: Callable[[Optimizer], Any] = lambda _: None,
) -> Program:
    """The same for the same arguments, to the last bit."""
    torch.manual_seed(0)
    x, y = data or (torch.randn(40, 6), torch.arange(40) % 3)
    train = DataLoader(
        TensorDataset(x[:24], y[:24]), batch_size, shuffle=True, generator=torch.Generator().manual_seed(1)
    )
    val = DataLoader(TensorDataset(x[24:], y[24:]), 8)
    made = model()
    stepper = optimizer(made)
    return Program(made, stepper, train, val, scheduler(stepper))


def run(made: Program, loop: Callable[[Program], None], plan: Plan | None = None, *, watched: bool = True) -> Program:
    """Train for `EPOCHS`. watched: under `advisor.watch`, which is told of everything but the scheduler."""
    torch.manual_seed(2)
    epochs: Iterable[int] = range(EPOCHS)
    if watched:
        epochs = advisor.watch(
            epochs, made.model, made.optimizer, train=made.train, val=made.val, plan=plan, report=False
        )
    for _ in epochs:
        loop(made)
    if isinstance(epochs, Watch):
        made.record = epochs.record
        assert made.record.problems == ()
    return made


def plain(made: Program) -> None:
    """What most loops do, but for the modes."""
    for x, y in made.train:
        made.step(x, y)
    made.validate()


def usual(made: Program) -> None:
    """What most loops do, modes and all."""
    made.model.train()
    for x, y in made.train:
        made.step(x, y)
    made.model.eval()
    made.validate()


def same(one: Program, other: Program) -> bool:
    """Whether two runs had the same losses and weights, bit for bit."""
    weights = zip(one.weights(), other.weights(), strict=True)
    return one.losses == other.losses and all(torch.equal(a, b) for a, b in weights)
