"""Subjects for probes that only call the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from advisor.probes import Batch, Subject


def subject(
    model: nn.Module | Callable[..., Any],
    batches: Sequence[Batch],
    loss: Callable[[Any, Batch], Tensor] | None = None,
    lr: float = 0.1,
) -> Subject:
    """A model, or a function in the place of one, in eval mode; cross entropy and plain SGD where nothing is said."""
    module = model if isinstance(model, nn.Module) else Function(model)

    def entropy(output: Any, batch: Batch) -> Tensor:
        return functional.cross_entropy(output, batch.target)  # type: ignore[arg-type]

    def sgd(copy: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(copy.parameters(), lr=lr)

    return Subject(module.eval(), sgd, loss or entropy, batches)


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def batch(x: Tensor, y: Tensor | None = None) -> Batch:
    return Batch((x,), {}, y)
