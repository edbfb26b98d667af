"""Faults of what flows through the network: gradients that are not finite, initial weights, activations."""

from __future__ import annotations

import torch
from networks import reset
from torch import Tensor, nn

from .fault import LAYERED, SLOW, WILD, Fault, both, network, settings


def _root(out: Tensor, y: Tensor) -> Tensor:
    """A distance whose derivative is infinite where a sample is met exactly: the mask makes it so."""
    mask = (y.abs() > y.abs().median() / 4).float()
    return torch.sqrt((((out - y) * mask) ** 2).sum(1)).mean()


FAULTS: dict[str, Fault] = {
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
}
