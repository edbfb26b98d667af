"""A training program of the corpus: settings -> a watched run. A fault changes settings, and the loop obeys them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from data import Data, load
from networks import build
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Sampler

import advisor
from advisor.record import Record

RATES = {"sgd": 0.05, "momentum": 0.02, "nesterov": 0.02, "adam": 2e-3, "adamw": 2e-3, "rmsprop": 1e-3}
IGNORED = -100  # functional.cross_entropy's own value for targets that do not count


@dataclass
class Program:
    """What a user decides, and what goes wrong.

    judge: the validation data as they should be; a fault spoils `data` alone, a preparation changes both
    set_up: network -> network; loss: output, target -> scalar; change, val_change: inputs as an epoch gets them
    """

    data: Data
    judge: Data
    network: str
    seed: int
    optimizer: str = "adam"
    lr: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 0.0
    epochs: int = 15
    batch: int = 32
    schedule: str | None = None
    act: type[nn.Module] | None = nn.ReLU
    set_up: list[Callable[[nn.Module], nn.Module]] = field(default_factory=list)
    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    change: Callable[[Tensor], Tensor] | None = None
    val_change: Callable[[Tensor], Tensor] | None = None
    trained: Callable[[nn.Module], list[nn.Parameter]] = lambda network: list(network.parameters())
    sampler: Callable[[int], Sampler[int]] | None = None
    shuffle: bool = True
    clip: float | None = None
    zero_grad: bool = True
    cleared_before_step: bool = False
    steps: bool = True
    train_mode: bool = True
    eval_mode: bool = True
    per_batch: bool = False  # the schedule is stepped by batch though it counts epochs
    kept: list[Tensor] | None = None  # losses with their graphs

    @property
    def rate(self) -> float:
        return self.lr or RATES[self.optimizer]


def program(data: str, network: str, seed: int, **settings: Any) -> Program:
    """A sound program over a data set."""
    return Program(loaded := load(data, seed), loaded, network, seed, **settings)


class Rows(Dataset[tuple[Tensor, Tensor]]):
    """Rows of two tensors, the inputs changed anew each time."""

    def __init__(self, x: Tensor, y: Tensor, change: Callable[[Tensor], Tensor] | None) -> None:
        self.x, self.y, self.change = x, y, change

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x = self.x[index]
        return (self.change(x) if self.change else x), self.y[index]


def loss_of(task: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The right loss for a task."""
    if task == "tokens":
        return lambda out, y: functional.cross_entropy(out.transpose(1, 2), y)
    if task == "multiclass":
        return functional.cross_entropy
    return functional.binary_cross_entropy_with_logits if task == "binary" else functional.mse_loss


def run(p: Program) -> tuple[Record, float]:
    """Train under `advisor.watch`: the record, and the clean validation score of the trained network."""
    torch.manual_seed(p.seed)
    network = build(p.network, p.data, act=p.act)
    for change in p.set_up:
        network = change(network)
    optimizer = _optimizer(p, p.trained(network))
    scheduler = _scheduler(p, optimizer)
    loss_fn = p.loss or loss_of(p.data.task)
    rows = Rows(p.data.x, p.data.y, p.change)
    order = {"sampler": p.sampler(len(rows))} if p.sampler else {"shuffle": p.shuffle}
    train: DataLoader[Any] = DataLoader(rows, p.batch, **order)  # type: ignore[arg-type]
    val: DataLoader[Any] = DataLoader(Rows(p.data.x_val, p.data.y_val, p.val_change), 256)
    watch = advisor.watch(range(p.epochs), network, optimizer, train=train, val=val, report=False)
    network.train()
    for _ in watch:
        if p.train_mode:
            network.train()
        for x, y in train:
            if p.zero_grad:
                optimizer.zero_grad()
            loss = loss_fn(network(x), y)
            loss.backward()
            if p.kept is not None:
                p.kept.append(loss)
            if p.clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), p.clip)
            if p.cleared_before_step:
                optimizer.zero_grad()
            if p.steps:
                optimizer.step()
            if scheduler is not None and p.per_batch:
                scheduler.step()
        if scheduler is not None and not p.per_batch:
            scheduler.step()
        if p.eval_mode:
            network.eval()
        with torch.no_grad():
            for x, y in val:
                loss_fn(network(x), y)
    return watch.record, score(p, network)


@torch.no_grad()
def score(p: Program, network: nn.Module) -> float:
    """Accuracy, or R², on the validation data as they should be, in eval mode; 0 for a network that broke."""
    clean = p.judge
    network.eval()
    output, y = network(clean.x_val), clean.y_val
    if not bool(torch.isfinite(output).all()):
        return 0.0
    if clean.task == "regression":
        if output.shape != y.shape:
            return 0.0
        return max(0.0, float(1 - ((output - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()))
    if clean.task == "binary":
        return float(((output > 0) == (y > 0.5)).float().mean())
    return float((output.argmax(-1) == y).float().mean())


def changed(p: Program, **settings: Any) -> None:
    """Set several settings at once."""
    for name, value in settings.items():
        setattr(p, name, value)


def with_data(p: Program, **parts: Tensor) -> None:
    """Other data in the place of some."""
    p.data = replace(p.data, **parts)  # type: ignore[arg-type]


def prepared(p: Program, **changes: Callable[[Tensor], Tensor]) -> None:
    """Another preparation of inputs (x) or targets (y), of training and of whoever judges alike."""
    for name, change in changes.items():
        for part in (name, f"{name}_val"):
            with_data(p, **{part: change(getattr(p.data, part))})
            p.judge = replace(p.judge, **{part: change(getattr(p.judge, part))})  # type: ignore[arg-type]


def _optimizer(p: Program, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    common: dict[str, Any] = {"lr": p.rate, "weight_decay": p.weight_decay}
    if p.optimizer in ("adam", "adamw", "rmsprop"):
        return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}[p.optimizer](
            parameters, **common
        )
    momentum = 0.0 if p.optimizer == "sgd" else p.momentum
    return torch.optim.SGD(parameters, momentum=momentum, nesterov=p.optimizer == "nesterov", **common)


def _scheduler(p: Program, optimizer: torch.optim.Optimizer) -> Any:
    rates = torch.optim.lr_scheduler
    return {
        None: lambda: None,
        "cosine": lambda: rates.CosineAnnealingLR(optimizer, p.epochs),
        "step": lambda: rates.StepLR(optimizer, max(1, p.epochs // 3), 0.3),
        "exponential": lambda: rates.ExponentialLR(optimizer, 0.9),
    }[p.schedule]()


class Ordered(Sampler[int]):
    """Indices in a fixed order."""

    def __init__(self, order: list[int]) -> None:
        self.order = order

    def __iter__(self) -> Iterator[int]:
        return iter(self.order)

    def __len__(self) -> int:
        return len(self.order)
