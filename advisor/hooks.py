"""Torch's own hooks on the user's model, loss and optimizers: set where they are needed, removed where they are not.

A hook costs a microsecond a call, so the model's forward is hooked only for the batches that are wanted, and the
optimizers' pre-step only on sampled steps. A hook is never part of a compiled region, a copy or a pickle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

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


class Hearer(Protocol):
    """Whom the hooks tell."""

    def heard_forward(self, module: nn.Module, args: Any, kwargs: Any, output: Any, /) -> None: ...

    def heard_loss_fn_begin(self, *_: Any) -> None: ...

    def heard_loss_fn_end(self, module: nn.Module, args: Any, kwargs: Any, value: Any, /) -> None: ...

    def heard_before_step(self, optimizer: Optimizer, *_: Any) -> None: ...

    def heard_after_step(self, optimizer: Optimizer, *_: Any) -> None: ...


class Hooks:
    """The handles of one watched loop."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer], loss_fn: object, hearer: Hearer) -> None:
        self._model, self._optimizers, self._hearer = model, optimizers, hearer
        self._forward_handle: Any = None
        self._step_handles: list[Any] = []
        self._loss_fn_handles: list[Any] = []
        self._always: list[Any] = [o.register_step_post_hook(hearer.heard_after_step) for o in optimizers]
        self.loss_fn_is_torchs = type(loss_fn).__module__ == nn.modules.loss.__name__
        if isinstance(loss_fn, nn.Module):
            ended = Hook(hearer.heard_loss_fn_end)
            self._loss_fn_handles = [
                loss_fn.register_forward_pre_hook(Hook(hearer.heard_loss_fn_begin)),
                loss_fn.register_forward_hook(ended, with_kwargs=True, always_call=True),
            ]

    def hear_forwards(self, on: bool) -> None:
        """Hook the model's forward, or take the hook away."""
        if on and self._forward_handle is None:
            if getattr(self._model, "_compiled_call_impl", None) is None:  # a hook would be compiled with the model
                hook = Hook(self._hearer.heard_forward)
                self._forward_handle = self._model.register_forward_hook(hook, with_kwargs=True)
        elif not on and self._forward_handle is not None:
            self._forward_handle.remove()
            self._forward_handle = None

    def hear_steps(self, on: bool) -> None:
        """Hook the optimizers before their step too, or no longer."""
        if on and not self._step_handles:
            hook = self._hearer.heard_before_step
            self._step_handles = [optimizer.register_step_pre_hook(hook) for optimizer in self._optimizers]
        elif not on and self._step_handles:
            for handle in self._step_handles:
                handle.remove()
            self._step_handles = []

    def leave_loss_fn(self) -> None:
        """Where torch's own function below `loss_fn` says as much, its tap is enough: two hooks a call less."""
        for handle in self._loss_fn_handles:
            handle.remove()
        self._loss_fn_handles = []

    def remove(self) -> None:
        self.hear_forwards(False)
        self.hear_steps(False)
        self.leave_loss_fn()
        for handle in self._always:
            handle.remove()
