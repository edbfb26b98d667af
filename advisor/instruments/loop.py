"""Whether the loop trains at all. Fact `loop`, at the end of each epoch:

losses    training losses that were seen; of a loop that steps, on sampled steps only
backward  whether a backward pass was seen, or a gradient at a step
steps     whether a watched optimizer ever stepped
moved     whether the parameters have changed since the run began, by whomever
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from advisor.instruments import HeardLoss, Live

WATCHED = 32  # parameters, spread over the model
FINGERPRINT = 256  # elements of each


class Loop:
    """Counts what is there, and compares a few parameters with what they were."""

    def __init__(self) -> None:
        self._losses = 0
        self._backward = self._steps = False
        self._began: list[tuple[nn.Parameter, Tensor]] = []

    def start(self, live: Live) -> None:
        parameters = [p for p in live.model.parameters() if p.requires_grad and not nn.parameter.is_lazy(p)]
        spread = parameters[:: max(1, len(parameters) // WATCHED)]
        self._began = [(p, _part(p).clone()) for p in spread]

    def loss_called(self, _: Live, heard: HeardLoss) -> None:
        self._losses += isinstance(heard.value, Tensor) and heard.value.requires_grad and not heard.inside

    def before_backward(self, _: Live, __: Tensor) -> None:
        self._backward = True

    def before_step(self, _: Live, optimizer: Optimizer) -> None:
        self._steps = True
        if not self._backward:  # by torch.autograd.backward, or set by hand
            self._backward = any(p.grad is not None for group in optimizer.param_groups for p in group["params"])

    def epoch_end(self, live: Live) -> None:
        moved = torch.stack([(_part(p) != before).any() for p, before in self._began]) if self._began else None
        live.fact(
            "loop",
            {
                "losses": self._losses if not self._steps else None,
                "backward": self._backward,
                "steps": self._steps,
                "moved": bool(moved.any()) if moved is not None else None,
            },
        )

    def finish(self, live: Live) -> None:
        if not self._steps:
            self.epoch_end(live)


def _part(parameter: Tensor) -> Tensor:
    """(at most FINGERPRINT,) of its first elements."""
    return parameter.detach().reshape(-1)[:FINGERPRINT]


instrument = Loop
