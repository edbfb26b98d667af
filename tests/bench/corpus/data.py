"""The corpus' data sets: name -> inputs and targets, split, scaled as they should be. Faults spoil them afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor

Task = Literal["multiclass", "binary", "regression", "tokens"]
VALIDATION = 0.3
WORDS, LENGTH = 12, 16  # of the token task: next = (2 last + one before) mod WORDS, in nine of ten cases


@dataclass(frozen=True)
class Data:
    """x, y: training; x_val, y_val: validation. kind: what a network has to be made for."""

    task: Task
    kind: Literal["table", "image", "sequence", "tokens"]
    classes: int
    x: Tensor
    y: Tensor
    x_val: Tensor
    y_val: Tensor


def load(name: str, seed: int) -> Data:
    """A data set by its name, drawn and split by the seed."""
    kind, task, make = SETS[name]
    x, y = make(seed)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    x, y = x[order], y[order]
    held = int(len(x) * VALIDATION)
    classes = int(y.max()) + 1 if task in ("multiclass", "tokens") else 1
    if task == "binary" or task == "regression":
        y = y.float().unsqueeze(1)
    return Data(task, kind, classes, x[held:], y[held:], x[:held], y[:held])  # type: ignore[arg-type]


def _scaled(x: np.ndarray) -> Tensor:
    return torch.tensor((x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1), dtype=torch.float32)


def _table(load_set: Callable[..., tuple[np.ndarray, np.ndarray]]) -> Callable[[int], tuple[Tensor, Tensor]]:
    def make(_: int) -> tuple[Tensor, Tensor]:
        x, y = load_set(return_X_y=True)
        return _scaled(x), torch.tensor(y)

    return make


def _digits(_: int) -> tuple[Tensor, Tensor]:
    x, y = datasets.load_digits(return_X_y=True)
    return torch.tensor((x / 16 - 0.3) / 0.38, dtype=torch.float32), torch.tensor(y)


def _images(seed: int) -> tuple[Tensor, Tensor]:
    x, y = _digits(seed)
    return x.reshape(-1, 1, 8, 8), y


def _rows(seed: int) -> tuple[Tensor, Tensor]:
    x, y = _digits(seed)
    return x.reshape(-1, 8, 8), y


def _clusters(seed: int) -> tuple[Tensor, Tensor]:
    x, y = datasets.make_classification(
        2000, 20, n_informative=10, n_classes=6, n_clusters_per_class=2, class_sep=2.5, flip_y=0.0, random_state=seed
    )
    return _scaled(x), torch.tensor(y)


def _moons(seed: int) -> tuple[Tensor, Tensor]:
    x, y = datasets.make_moons(1500, noise=0.15, random_state=seed)
    return _scaled(x), torch.tensor(y)


def _friedman(seed: int) -> tuple[Tensor, Tensor]:
    x, y = datasets.make_friedman1(1500, noise=0.5, random_state=seed)
    return _scaled(x), _scaled(y)


def _surface(seed: int) -> tuple[Tensor, Tensor]:
    x = np.random.RandomState(seed).uniform(-2, 2, (1500, 6))
    return _scaled(x), _scaled(np.sin(2 * x[:, 0]) * x[:, 1] + x[:, 2] ** 2)


def _waves(seed: int) -> tuple[Tensor, Tensor]:
    """Which of three frequencies a noisy wave of two channels has."""
    draw = np.random.RandomState(seed)
    y = draw.randint(0, 3, 1200)
    time = np.arange(24)
    phase = draw.rand(1200, 1) * 6.3
    wave = np.sin(time * (0.3 + 0.25 * y[:, None]) + phase)
    return torch.tensor(
        np.stack([wave, draw.randn(1200, 24)], 2) + 0.3 * draw.randn(1200, 24, 2)
    ).float(), torch.tensor(y)


def _words(seed: int) -> tuple[Tensor, Tensor]:
    """Sequences that follow a rule with exceptions; the target is the next word."""
    draw = np.random.RandomState(seed)
    words = draw.randint(0, WORDS, (900, LENGTH + 1))
    for place in range(2, LENGTH + 1):
        ruled = (2 * words[:, place - 1] + words[:, place - 2]) % WORDS
        words[:, place] = np.where(draw.rand(900) < 0.9, ruled, words[:, place])
    return torch.tensor(words[:, :-1]), torch.tensor(words[:, 1:])


SETS: dict[str, tuple[str, str, Callable[[int], tuple[Tensor, Tensor]]]] = {
    "digits": ("table", "multiclass", _digits),
    "images": ("image", "multiclass", _images),
    "rows": ("sequence", "multiclass", _rows),
    "clusters": ("table", "multiclass", _clusters),
    "wine": ("table", "multiclass", _table(datasets.load_wine)),
    "cancer": ("table", "binary", _table(datasets.load_breast_cancer)),
    "moons": ("table", "binary", _moons),
    "friedman": ("table", "regression", _friedman),
    "surface": ("table", "regression", _surface),
    "waves": ("sequence", "multiclass", _waves),
    "words": ("tokens", "tokens", _words),
}
