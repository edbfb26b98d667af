"""Training loops as they are written, each a function of what stands in the place of `advisor.watch`."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import advisor

EPOCHS = 3
Loop = Callable[[Callable[..., Iterable[int]]], nn.Module]


def data(seed: int = 0, n: int = 96) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 12, generator=generator)
    return TensorDataset(x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long())


def mlp(**options: Any) -> nn.Module:
    middle = [nn.BatchNorm1d(16)] if options.get("norm") else []
    return nn.Sequential(nn.Linear(12, 16), *middle, nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))


def plain(watch: Callable[..., Iterable[int]], model: nn.Module | None = None, workers: int = 0) -> nn.Module:
    """The tutorial's loop: shuffled loader, dropout, batch norm, validation."""
    model = model if model is not None else mlp(norm=True)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    train = DataLoader(data(), 16, shuffle=True, num_workers=workers)
    val = DataLoader(data(1), 32)
    for _ in watch(range(EPOCHS), model, optimizer, train=train, val=val):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for x, y in val:
                functional.cross_entropy(model(x), y)
    return model


class Remembering(nn.Module):
    """Carries a state from batch to batch, and lists what it saw, in attributes that torch knows nothing of."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(12, 8), nn.Linear(8, 3)
        self.state: torch.Tensor | None = None
        self.seen: list[float] = []
        self.total = torch.zeros(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = self.state if self.state is not None else torch.zeros(1, 8)
        after = self.cell(x, before.expand(len(x), 8))
        self.state = after.detach().mean(0, keepdim=True)
        self.seen.append(float(self.state.sum()))
        self.total += self.state.sum()
        logits: torch.Tensor = self.head(after) + self.total + sum(self.seen[-3:])
        return logits


def remembering(watch: Callable[..., Iterable[int]]) -> nn.Module:
    return plain(watch, Remembering())


def never_validates(watch: Callable[..., Iterable[int]]) -> nn.Module:
    """`watch` evaluates on the validation data itself, between the user's own random draws."""
    model = mlp(norm=True)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    train, val = DataLoader(data(), 16, shuffle=True), DataLoader(data(1), 32, shuffle=True)
    for _ in watch(range(EPOCHS), model, optimizer, train=train, val=val):
        for x, y in train:
            noise = 0.1 * torch.randn_like(x) + float(np.random.rand()) + random.random()
            optimizer.zero_grad()
            functional.cross_entropy(model(x + noise), y).backward()
            optimizer.step()
    return model


def compiled(watch: Callable[..., Iterable[int]]) -> nn.Module:
    model = mlp()
    fast = torch.compile(model, backend="aot_eager")
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    train = DataLoader(data(), 16, shuffle=True)
    for _ in watch(range(EPOCHS), fast, optimizer, train=train):
        for x, y in train:
            optimizer.zero_grad()
            functional.cross_entropy(fast(x), y).backward()
            optimizer.step()
    return model


def compiled_step(watch: Callable[..., Iterable[int]]) -> nn.Module:
    """Model and loss inside one compiled function."""
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)

    @torch.compile(backend="aot_eager")
    def loss_of(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(model(x), y)

    train = DataLoader(data(), 16, shuffle=True)
    for _ in watch(range(EPOCHS), model, optimizer, train=train):
        for x, y in train:
            optimizer.zero_grad()
            loss_of(x, y).backward()
            optimizer.step()
    return model


def compiled_in_place(watch: Callable[..., Iterable[int]]) -> nn.Module:
    model = mlp()
    model.compile(backend="aot_eager")
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    train = DataLoader(data(), 16, shuffle=True)
    for _ in watch(range(EPOCHS), model, optimizer, train=train):
        for x, y in train:
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


def autocast(watch: Callable[..., Iterable[int]]) -> nn.Module:
    model = mlp(norm=True)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    train = DataLoader(data(), 16, shuffle=True)
    for _ in watch(range(EPOCHS), model, optimizer, train=train):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
    return model


def accumulation(watch: Callable[..., Iterable[int]]) -> nn.Module:
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    train = DataLoader(data(), 8, shuffle=True)
    for _ in watch(range(EPOCHS), model, optimizer, train=train):
        for i, (x, y) in enumerate(train):
            (functional.cross_entropy(model(x), y) / 4).backward()
            if i % 4 == 3:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
    return model


def lbfgs(watch: Callable[..., Iterable[int]]) -> nn.Module:
    model = nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 3))
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=5)
    x, y = data().tensors
    for _ in watch(range(EPOCHS), model, optimizer):

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)
    return model


def two_optimizers(watch: Callable[..., Iterable[int]]) -> nn.Module:
    model = mlp()
    first = torch.optim.SGD(model[0].parameters(), 0.1)
    second = torch.optim.Adam(model[3].parameters(), 1e-2)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(first, 0.2, total_steps=EPOCHS * 6)
    train = DataLoader(data(), 16, shuffle=True)
    for _ in watch(range(EPOCHS), model, [first, second], train=train, scheduler=scheduler):
        for x, y in train:
            first.zero_grad()
            second.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            first.step()
            second.step()
            scheduler.step()
    return model


def own_loss_module(watch: Callable[..., Iterable[int]]) -> nn.Module:
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    loss_fn = advisor.loss(lambda out, y: (out.softmax(1) - functional.one_hot(y, 3)).square().sum())
    train = DataLoader(data(), 16, shuffle=True)
    for _ in watch(range(EPOCHS), model, optimizer, loss_fn, train=train, val=DataLoader(data(1), 32)):
        for x, y in train:
            optimizer.zero_grad()
            loss_fn(model(x), y).backward()
            optimizer.step()
    return model


def resnet(watch: Callable[..., Iterable[int]]) -> nn.Module:
    """torchvision's ResNet-18: in-place ReLU and `out += identity`."""
    model = torchvision.models.resnet18(num_classes=3)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    x, y = torch.randn(8, 3, 32, 32), torch.arange(8) % 3
    train = DataLoader(TensorDataset(x, y), 4, shuffle=True)
    for _ in watch(range(2), model, optimizer, train=train, val=train):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


LOOPS: dict[str, Loop] = {
    "plain": plain,
    "loader workers": lambda watch: plain(watch, workers=2),
    "never validates": never_validates,
    "torch.compile": compiled,
    "compiled step": compiled_step,
    "model.compile": compiled_in_place,
    "bfloat16 autocast": autocast,
    "gradient accumulation": accumulation,
    "LBFGS closure": lbfgs,
    "two optimizers": two_optimizers,
    "own loss": own_loss_module,
    "state in attributes": remembering,
    "ResNet-18": resnet,
}
