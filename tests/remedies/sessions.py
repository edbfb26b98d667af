"""Small sessions, and a driver that does with a session what `advisor.watch` does with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.diagnosis import Diagnosis
from advisor.finding import Finding, Number
from advisor.plan import Plan
from advisor.record import Json, Layer, Record, RunInfo, Series
from advisor.remedies import Session


@dataclass
class End:
    """The end of an epoch, as a remedy sees it."""

    number: int
    score: float | None
    stopped: bool = False

    def stop(self) -> None:
        self.stopped = True


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))


class Cnn(nn.Module):
    """Written with functional activations, as many are."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(1, 4, 3, padding=1)
        self.two = nn.Conv2d(4, 8, 3, padding=1)
        self.out = nn.Linear(8 * 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.one(x)), 2)
        x = F.max_pool2d(F.relu(self.two(x)), 2)
        logits: Tensor = self.out(x.flatten(1))
        return logits


def table(samples: int = 24) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(samples, 6, generator=generator), torch.arange(samples) % 3


def images(samples: int = 24) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(samples, 1, 8, 8, generator=generator), torch.arange(samples) % 3


def session_of(
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    optimizer: Optimizer | None = None,
    *,
    epochs: int | None = 8,
    batch_size: int = 8,
    **more: Any,
) -> Session:
    """A session whose loader shuffles, with an example batch."""
    loader = DataLoader(TensorDataset(*data), batch_size=batch_size, shuffle=True)
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.1)
    session = Session(model, [optimizer], [], F.cross_entropy, loader, epochs=epochs, task="multiclass", **more)
    session._example = lambda: (data[0][:batch_size], data[1][:batch_size])
    return session


def drive(
    session: Session,
    scores: Sequence[float | None] = (),
    *,
    each_step: Callable[[], None] = lambda: None,
) -> list[float]:
    """Train as the session says; the loss of every step. scores: by epoch, None where there are no more."""
    losses: list[float] = []
    epoch = 0
    assert session.train is not None
    optimizer = session.optimizers[0]
    while epoch < (session.epochs or 1):
        session.model.train()
        for batch in session.train:
            for change in session.batch_changes:
                batch = change(batch)
            optimizer.zero_grad()
            loss = F.cross_entropy(session.model(batch[0]), batch[1])
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
            for action in session.step_actions:
                action(len(losses))
            each_step()
        end = End(epoch, scores[epoch] if epoch < len(scores) else None)
        for act in session.epoch_actions:
            act(end)
        epoch += 1
        if end.stopped:
            break
    for finish in session.finish_actions:
        finish()
    return losses


def same_losses(one: Session, other: Session) -> bool:
    """Whether the same random numbers give two sessions the same losses, bit for bit."""
    torch.manual_seed(1)
    losses = drive(one)
    torch.manual_seed(1)
    return losses == drive(other)


def watched(session: Session, plan: Plan | None = None) -> Record:
    """Train as a user does, under `advisor.watch` with a plan; the validation is on `val`, or the training data."""
    model, optimizer = session.model, session.optimizers[0]
    loss_fn = session.loss_fn or F.cross_entropy
    train = session.train
    assert train is not None
    watch = advisor.watch(
        range(session.epochs or 1), model, optimizer, session.loss_fn, train=train, val=session.val, plan=plan,
        report=False, scheduler=session.schedulers,
    )  # fmt: skip
    for _ in watch:
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            loss_fn(model(x), y).backward()
            optimizer.step()
        for scheduler in session.schedulers:
            scheduler.step()
        model.eval()
        with torch.no_grad():
            for x, y in session.val or train:
                loss_fn(model(x), y)
    return watch.record


def record_of(session: Session, *, lr: Sequence[float] = (), epochs_seen: int = 0, **facts: Json) -> Record:
    """What `advisor.watch` would have left: the session's facts, and series where they are given."""
    series = {}
    if lr:
        values = np.array(lr, np.float32)[:, None]
        at = np.arange(len(lr), dtype=np.int64)
        series["lr"] = Series("lr", "step", ("0",), at + 1, at * 0, values)
    if epochs_seen:
        at = np.arange(epochs_seen, dtype=np.int64)
        series["train_loss"] = Series("train_loss", "train", ("",), at, at, at[:, None].astype(np.float32))
    return Record(RunInfo(epochs=session.epochs), series, {**session.facts, **facts})


def diagnosis_of(*rules: str) -> Diagnosis:
    """A diagnosis in which these rules fired, the leading cause first."""
    number = Number(text="one", value=1.0)
    found = tuple(Finding(message=rule, numbers=(number,), confidence=0.9, rule=rule) for rule in rules)
    return Diagnosis(status="problems" if rules else "healthy", findings=found)


def record_with(*, epochs: int | None = 20, kinds: Sequence[str] = ("Linear", "Linear"), **facts: Json) -> Record:
    """A record of facts alone. `probe_x` stands for the fact `probe.x`."""
    layers = tuple(Layer(name=str(i), kind=kind, parameters=1) for i, kind in enumerate(kinds))
    named = {name.replace("probe_", "probe."): value for name, value in facts.items()}
    return Record(RunInfo(epochs=epochs, layers=layers, task="multiclass"), {}, named)


def with_validation(record: Record) -> Record:
    at = np.arange(3, dtype=np.int64)
    curve = Series("val_loss", "val", ("",), at, at, np.ones((3, 1), np.float32))
    return replace(record, series={**record.series, "val_loss": curve})
