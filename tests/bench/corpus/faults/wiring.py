"""Faults of wiring: what the loop calls, what the loss gets, which parameters are reached, what the network may see."""

from __future__ import annotations

from dataclasses import replace

import torch
from networks import Detached, Then, Unregistered, linear_layers
from program import Program, changed, prepared, with_data
from torch import Tensor, nn
from torch.nn import functional

from .fault import LAYERED, SLOW, WILD, Fault, both, network, settings


def _leak(p: Program) -> None:
    def add(x: Tensor, y: Tensor) -> Tensor:
        return torch.cat([x, y.reshape(len(y), 1).float() - float(p.data.y.float().mean())], 1)

    with_data(p, x=add(p.data.x, p.data.y), x_val=add(p.data.x_val, p.data.y_val))
    p.judge = replace(p.judge, x_val=functional.pad(p.judge.x_val, (0, 1)))  # where it is used, the column is not known


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


def _one_hot(out: Tensor, y: Tensor) -> Tensor:
    return functional.mse_loss(torch.softmax(out, 1), functional.one_hot(y, out.shape[1]).float())


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
}
