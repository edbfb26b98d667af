"""The corpus' faults: name -> the rule that names it, what is right too, where it fits, and how it spoils a program.

A finding is counted as right where it is the fault's rule or one of `also`: consequences that a careful engineer would
call true of such a run as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from networks import Detached, Then, Unregistered, linear_layers, reset
from program import Ordered, Program, changed, prepared, with_data
from torch import Tensor, nn
from torch.nn import functional

SLOW = ("slow_convergence", "too_few_epochs", "learning_rate_too_low", "underfitting")
WILD = ("oscillating_loss", "unstable_loss", "exploding_gradients", "dead_units", "non_finite_loss", "saturated_units")
ANY = ("table", "image", "sequence", "tokens")
LAYERED = ("table", "image")  # networks that are a Sequential


@dataclass(frozen=True)
class Fault:
    """kinds, tasks: of data that it fits; networks: to which alone it applies; certain: wrong whatever the score is."""

    rule: str
    spoil: Callable[[Program], None]
    also: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ANY
    tasks: tuple[str, ...] = ("multiclass", "binary", "regression", "tokens")
    networks: tuple[str, ...] = ()
    certain: bool = False


def settings(**values: Any) -> Callable[[Program], None]:
    return lambda p: changed(p, **values)


def network(change: Callable[[nn.Module], nn.Module | None]) -> Callable[[Program], None]:
    """A change of the network, in place or to another one."""
    return lambda p: p.set_up.append(lambda n: change(n) or n)


def both(one: Callable[[Program], None], other: Callable[[Program], None]) -> Callable[[Program], None]:
    def spoil(p: Program) -> None:
        one(p)
        other(p)

    return spoil


def rate(factor: float, **more: Any) -> Callable[[Program], None]:
    return lambda p: changed(p, lr=p.rate * factor, **more)


def inputs(change: Callable[[Tensor], Tensor]) -> Callable[[Program], None]:
    """Another preparation of all inputs."""
    return lambda p: prepared(p, x=change)


def targets(change: Callable[[Tensor], Tensor]) -> Callable[[Program], None]:
    return lambda p: prepared(p, y=change)


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


def _leak(p: Program) -> None:
    def add(x: Tensor, y: Tensor) -> Tensor:
        return torch.cat([x, y.reshape(len(y), 1).float() - float(p.data.y.float().mean())], 1)

    with_data(p, x=add(p.data.x, p.data.y), x_val=add(p.data.x_val, p.data.y_val))
    p.judge = replace(p.judge, x_val=functional.pad(p.judge.x_val, (0, 1)))  # where it is used, the column is not known


def _few(p: Program) -> None:
    with_data(p, x=p.data.x[:80], y=p.data.y[:80])
    changed(p, epochs=60, batch=16)


def _pairs(p: Program) -> None:
    even = len(p.data.x) // 2 * 2  # batch norm takes no batch of one
    with_data(p, x=p.data.x[:even], y=p.data.y[:even])
    changed(p, batch=2)


def _padding(p: Program) -> None:
    """The second half of most sequences is padding, and the loss counts it."""
    pad = 12

    def padded(x: Tensor) -> Tensor:
        lengths = torch.randint(4, 12, (len(x), 1), generator=torch.Generator().manual_seed(4))
        return torch.where(torch.arange(x.shape[1]) < lengths, x, torch.full_like(x, pad))

    def head(n: nn.Module) -> None:
        n.head = nn.Linear(32, pad + 1)

    prepared(p, x=padded, y=padded)
    network(head)(p)


def _frozen(n: nn.Module) -> None:
    for layer in linear_layers(n)[:-1]:
        for parameter in layer.parameters():
            parameter.requires_grad = False
        nn.init.normal_(layer.weight, std=0.01)  # type: ignore[arg-type]


def _tiny(n: nn.Module) -> None:
    layers = linear_layers(n)
    first, last = layers[0], layers[-1]
    narrow = nn.Sequential(nn.Linear(first.in_features, 1), nn.ReLU(), nn.Linear(1, last.out_features))  # type: ignore[arg-type]
    assert isinstance(n, nn.Sequential)
    for name in list(n._modules):
        del n._modules[name]
    for name, module in narrow.named_children():
        n.add_module(name, module)


def _one_hot(out: Tensor, y: Tensor) -> Tensor:
    return functional.mse_loss(torch.softmax(out, 1), functional.one_hot(y, out.shape[1]).float())


def _root(out: Tensor, y: Tensor) -> Tensor:
    """A distance whose derivative is infinite where a sample is met exactly: the mask makes it so."""
    mask = (y.abs() > y.abs().median() / 4).float()
    return torch.sqrt((((out - y) * mask) ** 2).sum(1)).mean()


def _noisy(x: Tensor) -> Tensor:
    return torch.flip(x, [-1]) + 2.5 * torch.randn_like(x) if torch.rand(()) < 0.5 else x + 2.5 * torch.randn_like(x)


FAULTS: dict[str, Fault] = {
    "no zero_grad": Fault(
        "missing_zero_grad", settings(zero_grad=False), (*WILD, "learning_rate_too_high"), certain=True
    ),
    "cleared before step": Fault(
        "gradients_cleared_before_step", settings(cleared_before_step=True), SLOW, certain=True
    ),
    "no step": Fault("no_training_steps", settings(steps=False), SLOW, certain=True),
    "eval mode": Fault(
        "training_in_eval_mode",
        settings(train_mode=False),
        ("overfitting",),
        networks=("norm", "dropout", "cnn_norm"),
        certain=True,
    ),
    "train mode in validation": Fault(
        "validating_in_train_mode", settings(eval_mode=False), networks=("norm", "dropout", "cnn_norm"), certain=True
    ),
    "softmax before cross entropy": Fault(
        "probabilities_into_logits_loss",
        network(lambda n: Then(n, nn.Softmax(1))),
        SLOW,
        LAYERED,
        ("multiclass",),
        certain=True,
    ),
    "sigmoid before logits": Fault(
        "probabilities_into_logits_loss",
        network(lambda n: Then(n, nn.Sigmoid())),
        SLOW,
        tasks=("binary",),
        certain=True,
    ),
    "softmax over the batch": Fault(
        "softmax_over_wrong_dimension",
        both(settings(loss=functional.nll_loss, batch=8), network(lambda n: Then(n, nn.LogSoftmax(0)))),
        ("examples_mixed_in_batch", *SLOW),
        LAYERED,
        ("multiclass",),
        certain=True,
    ),
    "logits into nll": Fault(
        "logits_into_probability_loss",
        settings(loss=functional.nll_loss),
        (*WILD, *SLOW, "learning_rate_too_high", "overfitting"),
        tasks=("multiclass",),
        certain=True,
    ),
    "squared error for classes": Fault("wrong_loss_for_task", settings(loss=_one_hot), SLOW, tasks=("multiclass",)),
    "broadcast": Fault(
        "prediction_target_broadcast",
        lambda p: changed(p, loss=lambda out, y: functional.mse_loss(out, y.squeeze(1))),
        SLOW,
        tasks=("regression",),
        certain=True,
    ),
    "relu at the end": Fault(
        "output_range_mismatch",
        network(lambda n: Then(n, nn.ReLU())),
        ("dead_units", "underfitting"),
        tasks=("regression",),
        certain=True,
    ),
    "detached": Fault(
        "parameters_without_gradient", network(Detached), SLOW, LAYERED, networks=("mlp", "deep"), certain=True
    ),  # type: ignore[arg-type]
    "plain list": Fault(
        "unregistered_parameters",
        network(Unregistered),
        ("parameters_not_optimized", *SLOW),
        LAYERED,
        networks=("mlp", "deep"),
        certain=True,  # type: ignore[arg-type]
    ),
    "head not optimized": Fault(
        "parameters_not_optimized",
        lambda p: changed(p, trained=lambda n: [q for layer in linear_layers(n)[:-1] for q in layer.parameters()]),
        SLOW,
        LAYERED,
        certain=True,
    ),
    "frozen at random": Fault("frozen_parameters", network(_frozen), (*SLOW, "bad_initialization"), LAYERED),
    "clipped to nothing": Fault("excessive_clipping", settings(clip=1e-3, optimizer="sgd"), SLOW),
    "samples mixed": Fault(
        "examples_mixed_in_batch", network(lambda n: setattr(n, "mixed", True)), SLOW, networks=("gru",), certain=True
    ),
    "graphs kept": Fault("graph_kept_alive", lambda p: changed(p, kept=[]), certain=True),
    "padding": Fault("padding_in_loss", _padding, kinds=("tokens",), certain=True),
    "no mask": Fault(
        "target_leakage",
        network(lambda n: setattr(n, "masked", False)),
        ("overfitting",),
        kinds=("tokens",),
        certain=True,
    ),
    "leaked column": Fault("target_leakage", _leak, kinds=("table",), certain=True),
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
    "rate x 300": Fault("learning_rate_too_high", rate(300), WILD),
    "rate / 1000": Fault("learning_rate_too_low", rate(1e-3), SLOW),
    "schedule per batch": Fault("learning_rate_collapsed", settings(schedule="exponential", per_batch=True), SLOW),
    "momentum 0.999": Fault(
        "momentum_too_high", settings(optimizer="momentum", momentum=0.999), (*WILD, "learning_rate_too_high")
    ),
    "decay": Fault(
        "over_regularised",
        settings(optimizer="momentum", weight_decay=0.3),
        (*SLOW, "dead_units", "vanishing_gradients"),
    ),
    "two epochs": Fault("too_few_epochs", lambda p: changed(p, epochs=2, lr=p.rate / 4), SLOW),
    "whole batch": Fault("batch_too_large", lambda p: changed(p, batch=len(p.data.x)), SLOW),
    "batch of two": Fault(
        "batch_too_small_for_batchnorm", _pairs, (*WILD, "underfitting"), networks=("norm", "cnn_norm")
    ),
    "root of zero": Fault(
        "non_finite_gradients",
        settings(loss=_root),
        ("non_finite_loss", "unstable_loss"),
        tasks=("regression",),
        certain=True,
    ),
    "zero weights": Fault(
        "bad_initialization",
        network(lambda n: reset(n, weight=0.0, bias=0.0)),
        ("vanishing_gradients", "dead_units", *SLOW),
        LAYERED,
        networks=("mlp", "deep", "cnn"),
    ),
    "large weights": Fault(
        "bad_initialization",
        network(lambda n: reset(n, scale=30.0)),
        (*WILD, "learning_rate_too_low", "slow_convergence", "overfitting"),
        LAYERED,
        networks=("mlp", "deep"),
    ),
    "deep sigmoid": Fault(
        "vanishing_gradients",
        settings(act=nn.Sigmoid, optimizer="sgd"),
        (*SLOW, "saturated_units"),
        LAYERED,
        networks=("deep",),
    ),
    "saturated tanh": Fault(
        "saturated_units",
        both(settings(act=nn.Tanh), network(lambda n: reset(n, scale=30.0))),
        ("bad_initialization", *SLOW, "overfitting"),
        LAYERED,
        networks=("mlp", "deep"),
    ),
    "dead from the start": Fault(
        "dead_units",
        network(lambda n: reset(n, bias=-10.0)),
        ("bad_initialization", *SLOW),
        LAYERED,
        networks=("mlp", "deep"),
    ),
    "no activation": Fault(
        "missing_nonlinearity", settings(act=None), ("underfitting",), LAYERED, networks=("mlp", "deep")
    ),
    "one unit": Fault("underfitting", network(_tiny), (), ("table",), ("multiclass",), networks=("mlp",)),
    "few data, long": Fault("overfitting", _few, ("data_scarcity",), networks=("mlp", "wide", "cnn")),
}
