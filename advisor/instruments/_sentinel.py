"""One small parameter near the input -> the norm of its gradient at every step, for 1.5 µs a step.

A gradient flows down from the loss to the first layers, and NaN and explosions with it. The sentinel's gradient is
kept by reference after each optimizer step and its norms are taken 256 steps at a time. It is never copied or changed:
`zero_grad` lets go of it, and the next backward pass makes another. A loop that fills it with zeros in place reuses it,
and so do the buckets of a distributed run; there the sentinel lets go and says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from advisor.instruments import Live

CHUNK = 256  # gradients kept one by one before their norms are taken, as many as losses are
LARGEST = 512  # elements of the sentinel: the norms of 256 of them take 0.1 ms


class Sentinel:
    """Made for one run; `take` gives what was seen since the last call."""

    def __init__(self, live: Live) -> None:
        self._parameter: Tensor | None = None
        self._handle: Any = None
        self._kept: list[Tensor | None] = []
        self._norms: list[Tensor] = []
        for layer in live.layers[: max(1, len(live.layers) // 2)]:
            known = [p for p in layer.parameters if p.requires_grad and not is_lazy(p)]
            small = [p for p in known if p.numel() <= LARGEST]
            for optimizer in live.optimizers:
                held = {id(p) for group in optimizer.param_groups for p in group["params"]}
                chosen = min((p for p in small if id(p) in held), key=Tensor.numel, default=None)
                if chosen is not None and self._parameter is None:
                    self._parameter = chosen
                    self._handle = optimizer.register_step_post_hook(self._after_step)

    def take(self) -> Tensor | None:
        """(S,) norms, one a step of its optimizer; None where not all of them could be seen."""
        self._pack()
        norms, self._norms = self._norms, []
        if self._parameter is None:
            self.let_go()
            return None
        return torch.cat(norms) if norms else None

    def let_go(self) -> None:
        """Remove the hook. Never called from it: an optimizer does not bear that while it runs its hooks."""
        self._stop()
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def _stop(self) -> None:
        self._parameter = None
        self._kept, self._norms = [], []

    def _after_step(self, _: Optimizer, *__: Any) -> None:
        if self._parameter is None:
            return
        self._kept.append(self._parameter.grad)
        if len(self._kept) == CHUNK:
            try:
                self._pack()
            except Exception:  # noqa: BLE001  the fence: this runs inside the user's optimizer.step
                self._stop()

    def _pack(self) -> None:
        if not self._kept:
            return
        kept, self._kept = self._kept, []
        grads = [grad for grad in kept if grad is not None and not grad.is_sparse]
        if len(grads) < len(kept) or _reused(grads):
            self._stop()
        else:
            self._norms.append(torch.stack(grads).reshape(len(grads), -1).float().norm(dim=1))


def _reused(grads: Sequence[Tensor]) -> bool:
    """Whether the gradients of two steps lie in one place: what the first one was is gone."""
    return len(grads) > 1 and grads[0].data_ptr() in (grads[1].data_ptr(), grads[-1].data_ptr())
