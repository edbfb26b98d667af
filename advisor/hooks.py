"""Torch's own hooks on the user's model, loss and optimizers: set where they are needed, removed where they are not.

A hook costs a microsecond a call, so the model's forward is hooked only for the batches that are wanted, and the
optimizers' pre-step only on sampled steps. A hook is never part of a compiled region, a copy or a pickle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer


class InertHook:
    """What a hook of ours becomes in a copy or a pickle of the user's model: nothing."""

    def __call__(self, *_: Any, **__: Any) -> None:
        return None


class Hook:
    """A hook that does not travel: copies and pickles of the model get an inert one."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        if not torch.compiler.is_compiling():
            self.function(*args, **kwargs)

    def __reduce__(self) -> tuple[type[InertHook], tuple[()]]:
        return InertHook, ()


class Hooks:
    """The handles of one watched loop.

    forward(module, args, kwargs, output); loss_began(); loss_ended(module, args, kwargs, value);
    before_step(optimizer, …); after_step(optimizer, …)
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        loss_fn: object,
        *,
        forward: Callable[..., None],
        loss_began: Callable[..., None],
        loss_ended: Callable[..., None],
        before_step: Callable[..., None],
        after_step: Callable[..., None],
    ) -> None:
        self._model, self._optimizers = model, optimizers
        self._forward, self._before_step = forward, before_step
        self._forward_handle: Any = None
        self._step_handles: list[Any] = []
        self._always: list[Any] = [optimizer.register_step_post_hook(after_step) for optimizer in optimizers]
        if isinstance(loss_fn, nn.Module):
            ended = Hook(loss_ended)
            self._always.append(loss_fn.register_forward_pre_hook(Hook(loss_began)))
            self._always.append(loss_fn.register_forward_hook(ended, with_kwargs=True, always_call=True))

    def hear_forwards(self, on: bool) -> None:
        """Hook the model's forward, or take the hook away."""
        if on and self._forward_handle is None:
            if getattr(self._model, "_compiled_call_impl", None) is None:  # a hook would be compiled with the model
                self._forward_handle = self._model.register_forward_hook(Hook(self._forward), with_kwargs=True)
        elif not on and self._forward_handle is not None:
            self._forward_handle.remove()
            self._forward_handle = None

    def hear_steps(self, on: bool) -> None:
        """Hook the optimizers before their step too, or no longer."""
        if on and not self._step_handles:
            hook = self._before_step
            self._step_handles = [optimizer.register_step_pre_hook(hook) for optimizer in self._optimizers]
        elif not on and self._step_handles:
            for handle in self._step_handles:
                handle.remove()
            self._step_handles = []

    def remove(self) -> None:
        self.hear_forwards(False)
        self.hear_steps(False)
        for handle in self._always:
            handle.remove()
