"""Whether the loop trains at all. Fact `loop`, at the end of each epoch:

losses    training losses that were seen; of a loop that steps, on sampled steps only
backward  whether a backward pass was seen, or a gradient at a step
steps     whether a watched optimizer ever stepped
moved     whether the parameters have changed since the run began, by whomever

Fact `losses_used`, likewise: computed, losses of sampled steps with the model in training mode; used, so many of them
that a gradient was asked of.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from advisor.instruments import HeardLoss, Live

WATCHED = 32  # parameters, spread over the model
FINGERPRINT = 256  # elements of each


class Loop:
    """Counts what is there, and compares a few parameters with what they were."""

    def __init__(self) -> None:
        self._losses = self._computed = self._used = 0
        self._backward = self._steps = False
        self._began: list[tuple[nn.Parameter, Tensor]] = []

    def start(self, live: Live) -> None:
        parameters = [p for p in live.model.parameters() if p.requires_grad and not nn.parameter.is_lazy(p)]
        spread = parameters[:: max(1, len(parameters) // WATCHED)]
        self._began = [(p, _part(p).clone()) for p in spread]

    def loss_called(self, live: Live, heard: HeardLoss) -> None:
        if not isinstance(heard.value, Tensor) or not heard.value.requires_grad or heard.inside:
            return
        self._losses += 1
        if live.model.training and heard.value.grad_fn is not None:
            self._computed += 1
            heard.value.grad_fn.register_prehook(_Once(self._is_used))

    def _is_used(self) -> None:
        self._used += 1

    def before_backward(self, _: Live, __: Tensor) -> None:
        self._backward = True

    def before_step(self, _: Live, optimizer: Optimizer) -> None:
        self._steps = True
        if not self._backward:  # by torch.autograd.backward, or set by hand
            self._backward = any(p.grad is not None for group in optimizer.param_groups for p in group["params"])

    def epoch_end(self, live: Live) -> None:
        live.fact("losses_used", {"computed": self._computed, "used": self._used})
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


class _Once:
    """A hook of the autograd graph that tells of the first pass through its node and changes nothing."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell: Callable[[], None] | None = tell

    def __call__(self, _: object) -> None:
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()


def _part(parameter: Tensor) -> Tensor:
    """(at most FINGERPRINT,) of its first elements."""
    return parameter.detach().reshape(-1)[:FINGERPRINT]


instrument = Loop
