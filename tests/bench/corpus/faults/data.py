"""Faults of the data: their scale, their labels, their order, and how training and validation are divided."""

from __future__ import annotations

import torch
from program import Ordered, Program, changed, with_data
from torch import Tensor

from .fault import SLOW, WILD, Fault, inputs, targets


def _uneven(x: Tensor) -> Tensor:
    return x * torch.logspace(0, 4, x.shape[-1]) + 50.0


def _nan(p: Program) -> None:
    x = p.data.x.clone()
    x[torch.arange(0, len(x), 97), ..., 0] = float("nan")
    with_data(p, x=x)


def _noise(p: Program) -> None:
    y = p.data.y.clone()
    wrong = torch.rand(len(y), generator=torch.Generator().manual_seed(1)) < 0.35
    y[wrong] = (y[wrong] + torch.randint(1, p.data.classes, (int(wrong.sum()),))) % p.data.classes
    changed(p, epochs=p.epochs * 2)
    with_data(p, y=y)


def _permuted(p: Program) -> None:
    draw = torch.Generator().manual_seed(2)
    with_data(p, y=p.data.y[torch.randperm(len(p.data.y), generator=draw)])
    with_data(p, y_val=p.data.y_val[torch.randperm(len(p.data.y_val), generator=draw)])


def _rare(p: Program) -> None:
    """Of one class in five samples two hundredths are left, in training and validation alike."""

    def kept(y: Tensor) -> Tensor:
        flat = y.reshape(len(y), -1)[:, 0].long()
        rare = flat >= max(1, p.data.classes // 2)
        return torch.nonzero(~rare | (torch.rand(len(y), generator=torch.Generator().manual_seed(3)) < 0.02)).squeeze(1)

    train, val = kept(p.data.y), kept(p.data.y_val)
    with_data(p, x=p.data.x[train], y=p.data.y[train], x_val=p.data.x_val[val], y_val=p.data.y_val[val])


def _sorted(p: Program) -> None:
    order = p.data.y.reshape(len(p.data.y), -1)[:, 0].argsort()
    with_data(p, x=p.data.x[order], y=p.data.y[order])
    changed(p, shuffle=False)


def _copies(p: Program) -> None:
    """Two thirds of the validation samples are training samples."""
    n = len(p.data.x_val) * 2 // 3
    x_val, y_val = p.data.x_val.clone(), p.data.y_val.clone()
    x_val[:n], y_val[:n] = p.data.x[:n], p.data.y[:n]
    with_data(p, x_val=x_val, y_val=y_val)


def _noisy(x: Tensor) -> Tensor:
    return torch.flip(x, [-1]) + 2.5 * torch.randn_like(x) if torch.rand(()) < 0.5 else x + 2.5 * torch.randn_like(x)


FAULTS: dict[str, Fault] = {
    "raw inputs": Fault("unscaled_inputs", inputs(_uneven), (*WILD, *SLOW, "learning_rate_too_high"), ("table",)),
    "raw targets": Fault("unscaled_targets", targets(lambda y: y * 300 + 2000), (*SLOW, *WILD), tasks=("regression",)),
    "label noise": Fault("label_noise", _noise, ("overfitting", "data_scarcity"), tasks=("multiclass",)),
    "labels permuted": Fault(
        "no_signal", _permuted, ("label_noise", "overfitting"), tasks=("multiclass",), certain=True
    ),
    "rare class": Fault("class_imbalance", _rare, ("data_scarcity",), tasks=("multiclass", "binary")),
    "sorted": Fault(
        "unshuffled_batches", _sorted, (*WILD, "learning_rate_too_high"), tasks=("multiclass", "binary", "regression")
    ),
    "first tenth only": Fault(
        "samples_never_seen",
        lambda p: changed(p, sampler=lambda n: Ordered(list(range(n // 10)) * 5)),
        ("overfitting", "data_scarcity"),
        certain=True,
    ),
    "copies in validation": Fault("train_val_leakage", _copies, ("overfitting",), certain=True),
    "validation not scaled": Fault(
        "train_val_mismatch", lambda p: with_data(p, x_val=p.data.x_val * 8 + 4), kinds=("table", "image"), certain=True
    ),
    "validation augmented": Fault(
        "augmented_validation",
        lambda p: changed(
            p, change=lambda x: x + 0.5 * torch.randn_like(x), val_change=lambda x: x + 0.5 * torch.randn_like(x)
        ),
        kinds=("table", "image", "sequence"),
        certain=True,
    ),
    "destructive augmentation": Fault(
        "excessive_augmentation",
        lambda p: changed(p, change=_noisy),
        ("underfitting",),
        ("image", "table"),
        ("multiclass",),
    ),
    "nan in inputs": Fault(
        "non_finite_inputs", _nan, ("non_finite_loss",), ("table", "image", "sequence"), certain=True
    ),
}
