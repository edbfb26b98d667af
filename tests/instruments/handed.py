"""Short loops on rows and labels that are known, for what instruments say of samples, inputs and labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

import advisor

Loader = DataLoader[Any]


def rows(count: int, seed: int = 0, width: int = 6) -> Tensor:
    """Normal numbers: no two rows are alike."""
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def labels(count: int, classes: int = 2) -> Tensor:
    """0, 1, 0, 1, …"""
    return torch.arange(count) % classes


def facts(train: Iterable[Any], val: Iterable[Any], *, classes: int = 2, epochs: int = 2, model: Any = None) -> Any:
    """The facts of a loop that trains on the one and validates on the other."""
    torch.manual_seed(0)
    model = model or nn.Linear(6, classes)
    watch = advisor.watch(range(epochs), model, torch.optim.SGD(model.parameters(), 0.01), report=False)
    for _ in watch:
        model.train()
        for x, y in train:
            functional.cross_entropy(model(x), y).backward()
            watch_step(model)
        model.eval()
        with torch.no_grad():
            for x, y in val:
                functional.cross_entropy(model(x), y)
    assert watch.record.problems == ()
    return watch.record.facts


def watch_step(model: nn.Module) -> None:
    """Forget the gradients: the weights stay as they are."""
    for parameter in model.parameters():
        parameter.grad = None


def loader(x: Tensor, *, shuffle: bool = False, size: int = 8, y: Tensor | None = None) -> Loader:
    return DataLoader(TensorDataset(x, labels(len(x)) if y is None else y), size, shuffle=shuffle)


class Noisy(Dataset[Any]):
    """The same rows with other noise whenever they are asked for."""

    def __init__(self, count: int) -> None:
        self.x, self.y = rows(count, seed=9), labels(count)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index] + torch.randn(6), self.y[index]
