"""Small experiments on copies of the model and a few batches -> numbers. One file a probe, found by being here.

What a probe defines: a docstring that says what it asks and what it costs, a line that says which weights it asks
about, `weights: Weights = "current"`, and `run(subject) -> dict`, whose result becomes the fact `probe.<name>`. Whoever
calls `run_probe` has fenced the user's random state; a probe may draw.

initial:  asks about learning; it trains copies of the model with the weights from before the first step
current:  asks what the model computes; a few forward passes in eval mode, of the weights as they are
none:     asks about the captured batches alone
"""

from __future__ import annotations

import copy
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn

from advisor.record import Json

Weights = Literal["initial", "current", "none"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one training forward of the user's loop got, and the target of its loss."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    target: Tensor | None

    @property
    def size(self) -> int:
        """Number of samples: the first dimension of the first tensor."""
        for value in (*self.args, *self.kwargs.values(), self.target):
            if isinstance(value, Tensor) and value.dim():
                return int(value.shape[0])
        return 1


@dataclass(frozen=True)
class Subject:
    """What is being trained, for an experiment.

    model:     for an `initial` probe a copy with the weights from before the first step; for a `current` one the model
               itself, in eval mode and without gradients: it is called, never changed
    optimizer: builds an optimizer like the user's (same class, same options) for a copy of the model
    loss:      outputs, batch -> scalar tensor, the user's loss
    batches:   training batches as the model got them
    """

    model: nn.Module
    optimizer: Callable[[nn.Module], torch.optim.Optimizer]
    loss: Callable[[Any, Batch], Tensor]
    batches: Sequence[Batch] = field(default_factory=list)

    def answer(self, batch: Batch) -> Any:
        """What the model gives for a batch; a model that draws random numbers draws the same ones each time."""
        torch.manual_seed(0)
        return self.model(*batch.args, **batch.kwargs)

    def fresh_model(self) -> nn.Module:
        """A further copy, in train mode."""
        return copy.deepcopy(self.model).train()


@cache
def known_probes(weights: Weights | None = None) -> tuple[str, ...]:
    """Names of all probes, or of those that ask about one state of the model."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_"))
    return tuple(n for n in names if weights in (None, importlib.import_module(f"{__name__}.{n}").weights))


def run_probe(name: str, subject: Subject) -> dict[str, Json]:
    """Run one probe by its name."""
    result: dict[str, Json] = importlib.import_module(f"{__name__}.{name}").run(subject)
    return result
