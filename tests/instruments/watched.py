"""A small loop, watched: every step sampled, whatever the machine has to do besides."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.record import Record
from advisor.sampling import Sampling

STEPS = 6  # an epoch
Step = Callable[[Tensor, Tensor], None]


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first few steps are sampled as long as that is cheap; here they all are."""
    monkeypatch.setattr(Sampling, "next_after", lambda self, step: step + 1)
    torch.manual_seed(0)
    torch.set_num_threads(1)


def loader(seed: int = 0) -> DataLoader[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(8 * STEPS, 4, generator=generator)
    return DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), batch_size=8)


def watched(
    model: nn.Module,
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
    step: Step,
    *,
    epochs: int = 2,
    begin: Callable[[], object] = lambda: None,
    end: Callable[[], object] = lambda: None,
) -> Record:
    """The record of a loop; begin, end: of each epoch. Nothing inside advisor may have raised."""
    train = loader()
    watch = advisor.watch(range(epochs), model, optimizer, train=train, report=False)
    for _ in watch:
        begin()
        for x, y in train:
            step(x, y)
        end()
    assert watch.record.problems == ()
    return watch.record


def usual(model: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    """The tutorial's step."""

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def values(record: Record, name: str) -> list[float]:
    """Of a scalar series."""
    return [float(v) for v in record.series[name].values[:, 0]]
