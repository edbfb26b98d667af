"""Torch's own hooks on the user's model, loss and optimizers: set where they are needed, removed where they are not.

A hook costs a microsecond a call, so the model's forward is hooked only for the batches that are wanted, and the
optimizers' pre-step only on sampled steps. A hook is never part of a compiled region, a copy or a pickle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import nn
from torch.optim import Optimizer

from advisor import taps
from advisor.losses import made


class InertHook:
    """What a hook of ours becomes in a copy or a pickle of the user's model: nothing."""

    def __call__(self, *_: Any, **__: Any) -> None:
        return None


class Hook:
    """A hook that does not travel: copies and pickles of the model get an inert one."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        if not taps.aside():
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


def is_torchs(loss_fn: object) -> bool:
    """Whether a loss function is a module of torch's: the function that it calls tells what a plan makes of it."""
    return type(loss_fn).__module__ == nn.modules.loss.__name__


class Hooks:
    """The handles of one watched loop."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer], loss_fn: object, hearer: Hearer) -> None:
        self._model, self._optimizers, self._hearer = model, optimizers, hearer
        self._forward_handles: list[Any] = []
        self._given: tuple[Any, Any] | None = None  # to the forward pass under way, before other hooks change it
        self._step_handles: list[Any] = []
        self._loss_fn_handles: list[Any] = []
        self._always: list[Any] = [o.register_step_post_hook(hearer.heard_after_step) for o in optimizers]
        self.loss_fn_is_torchs = is_torchs(loss_fn)
        if isinstance(loss_fn, nn.Module):
            self._loss_fn_handles = self._on_loss(loss_fn)
        for one in made:
            if one is not loss_fn:
                self._always += self._on_loss(one)

    def _on_loss(self, loss_fn: nn.Module) -> list[Any]:
        ended = Hook(self._hearer.heard_loss_fn_end)
        return [
            loss_fn.register_forward_pre_hook(Hook(self._hearer.heard_loss_fn_begin)),
            loss_fn.register_forward_hook(ended, with_kwargs=True, always_call=True),
        ]

    def hear_forwards(self, on: bool) -> None:
        """Hook the model's forward, or take the hook away."""
        if on and not self._forward_handles:
            if getattr(self._model, "_compiled_call_impl", None) is None:  # a hook would be compiled with the model
                hook = Hook(self._heard_forward)
                self._forward_handles = [self._model.register_forward_hook(hook, with_kwargs=True)]
                if self._model._forward_pre_hooks:
                    first = self._model.register_forward_pre_hook(Hook(self._begins), with_kwargs=True, prepend=True)
                    self._forward_handles.append(first)
        elif not on:
            for handle in self._forward_handles:
                handle.remove()
            self._forward_handles = []

    def _begins(self, _: nn.Module, args: Any, kwargs: Any) -> None:
        self._given = args, kwargs

    def _heard_forward(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """What the loop gave, and not what other hooks made of it: it is given to the model again in our own passes."""
        (args, kwargs), self._given = self._given or (args, kwargs), None
        self._hearer.heard_forward(module, args, kwargs, output)

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
