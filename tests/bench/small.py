"""Small real trainings on scikit-learn's data, a fraction of a second each, whose results differ from seed to seed.

`PROGRAMS`: name -> a function without arguments that trains under `advisor.watch`. Each is another kind of noise: an
accuracy in steps of 1/171, an R² that is nearly continuous, a network of convolutions, 60 training samples of which a
fifth have a wrong label, and a deep narrow network that now and then does not learn at all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import advisor

EPOCHS = 12  # more than ten, so that a final score is the mean of three epochs, as in most users' runs
WRONG = 0.2  # share of wrong labels in `noisy`


def classification(epochs: int = EPOCHS) -> None:
    """Breast cancer, 398 of 569 rows, two layers, Adam."""
    x, y = _standardised(*datasets.load_breast_cancer(return_X_y=True))
    model = _build(lambda: nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 2)))
    _train(model, nn.CrossEntropyLoss(), x, torch.tensor(y), held=171, lr=2e-3, batch=64, epochs=epochs)


def regression(epochs: int = EPOCHS) -> None:
    """Diabetes, 309 of 442 rows, two layers, Adam."""
    x, y = _standardised(*datasets.load_diabetes(return_X_y=True))
    target = torch.tensor((y - y.mean()) / y.std(), dtype=torch.float32).unsqueeze(1)
    model = _build(lambda: nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1)))
    _train(model, nn.MSELoss(), x, target, held=133, lr=5e-3, batch=32, epochs=epochs)


def digits(epochs: int = EPOCHS) -> None:
    """Digits, 600 images for training and 600 for validation, one convolution, Adam."""
    x, y = datasets.load_digits(return_X_y=True)
    images = torch.tensor(x[:1200] / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    model = _build(
        lambda: nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10)
        )
    )
    _train(model, nn.CrossEntropyLoss(), images, torch.tensor(y[:1200]), held=600, lr=5e-3, batch=64, epochs=epochs)


def noisy(epochs: int = EPOCHS) -> None:
    """Wine, 60 of 178 rows, a fifth of their labels wrong, SGD at a rate at which it jumps about."""
    x, y = _standardised(*datasets.load_wine(return_X_y=True))
    spoiled = np.random.RandomState(0)  # the data are the same in every run; this seed is not shifted
    wrong = np.arange(len(y)) >= len(y) - round(60 * WRONG)
    y = np.where(wrong, (y + spoiled.randint(1, 3, len(y))) % 3, y)
    model = _build(lambda: nn.Sequential(nn.Linear(13, 32), nn.Tanh(), nn.Linear(32, 3)))
    _train(model, nn.CrossEntropyLoss(), x, torch.tensor(y), held=118, lr=0.5, batch=8, epochs=epochs, adam=False)


def unlucky(epochs: int = EPOCHS) -> None:
    """Wine, three narrow layers of ReLU, which on some seeds start dead or nearly so."""
    x, y = _standardised(*datasets.load_wine(return_X_y=True))
    model = _build(
        lambda: nn.Sequential(
            nn.Linear(13, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)
        )
    )
    _train(model, nn.CrossEntropyLoss(), x, torch.tensor(y), held=58, lr=1e-2, batch=16, epochs=epochs)


PROGRAMS: dict[str, Callable[[], None]] = {
    program.__name__: program for program in (classification, regression, digits, noisy, unlucky)
}


def shorter(name: str, epochs: int) -> Callable[[], None]:
    """The same program for fewer epochs."""
    return partial(PROGRAMS[name], epochs)


def _standardised(x: np.ndarray, y: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """Rows in an order that every run shares, columns of mean 0 and deviation 1."""
    order = np.random.RandomState(0).permutation(len(x))
    return torch.tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32)[order], y[order]


def _build(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)  # as scripts do; a trial shifts it
    return make()


def _train(
    model: nn.Module,
    loss_fn: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    held: int,
    lr: float,
    batch: int,
    epochs: int,
    adam: bool = True,
) -> None:
    """The first `held` rows validate, the others train."""
    torch.set_num_threads(1)
    train = DataLoader(TensorDataset(x[held:], y[held:]), batch_size=batch, shuffle=True)
    val = DataLoader(TensorDataset(x[:held], y[:held]), batch_size=held)
    optimizer = torch.optim.Adam(model.parameters(), lr) if adam else torch.optim.SGD(model.parameters(), lr)
    for _ in advisor.watch(range(epochs), model, optimizer, loss_fn, train=train, val=val, report=False):
        model.train()
        for inputs, targets in train:
            optimizer.zero_grad()
            loss_fn(model(inputs), targets).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for inputs, targets in val:
                loss_fn(model(inputs), targets)
