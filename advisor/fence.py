"""Keeps our own work from touching the user's training: random state, modes, buffers and gradients are put back."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

INTERNAL = frozenset(vars(nn.Module()))  # what torch itself keeps in every module


@contextmanager
def untouched(model: nn.Module | None = None) -> Iterator[None]:
    """Run our own forward passes inside: afterwards every generator, mode and buffer is as it was.

    Restored: the global generators of torch (CPU and, where initialised, the current accelerator), numpy and random;
    `training` of every module; buffers that changed (a running average, a counter); what modules keep in attributes of
    their own (a hidden state, a list of auxiliary losses). Gradients are off inside.
    """
    state = _random_state()
    modes = [(module, module.training) for module in model.modules()] if model is not None else []
    buffers = _buffers(model) if model is not None else []
    attributes = [_attributes(module) for module in model.modules()] if model is not None else []
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
        for owner, name, buffer, version, copy in buffers:
            if owner._buffers.get(name) is not buffer:
                owner._buffers[name] = buffer
            # a batch norm's kernel writes its running averages without telling the version
            if buffer._version != version or not torch.equal(buffer, copy):
                with torch.no_grad():
                    buffer.copy_(copy)
        for own, kept in attributes:
            _put_back(own, kept)
        _restore(state)


def unwrapped(model: nn.Module) -> nn.Module:
    """The module that the user wrote: below `torch.compile`, DataParallel and DistributedDataParallel."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if not isinstance(inner, nn.Module):
            wrapper = isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel)
            inner = model.module if wrapper else None
        if not isinstance(inner, nn.Module):
            return model
        model = inner


@contextmanager
def eager() -> Iterator[None]:
    """Compiled modules run uncompiled inside: an eval pass of ours must not make the user wait for a compilation."""
    if "torch._dynamo" in sys.modules:
        with torch.compiler.set_stance("force_eager"):
            yield
    else:
        yield


def _buffers(model: nn.Module) -> list[tuple[nn.Module, str, torch.Tensor, int, torch.Tensor]]:
    return [
        (module, name, buffer, buffer._version, buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]


def _attributes(module: nn.Module) -> tuple[dict[str, Any], dict[str, tuple[Any, Any]]]:
    """A module's own attributes: where they live, and by name the object and, of what can change in place, a copy."""
    own = vars(module)
    return own, {name: (value, _copy(value)) for name, value in own.items() if name not in INTERNAL}


def _copy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return (value._version, value.detach().clone())
    return value.copy() if isinstance(value, list | dict | set) else None


def _put_back(own: dict[str, Any], kept: dict[str, tuple[Any, Any]]) -> None:
    for name in [name for name in own if name not in INTERNAL and name not in kept]:
        del own[name]
    for name, (value, copy) in kept.items():
        if own.get(name) is not value:
            own[name] = value
        if isinstance(value, torch.Tensor):
            if value._version != copy[0]:
                with torch.no_grad():
                    value.copy_(copy[1])
        elif copy is not None and not _same(value, copy):
            value.clear()
            value.extend(copy) if isinstance(value, list) else value.update(copy)


def _same(container: Any, copy: Any) -> bool:
    """Whether it holds the very same objects."""
    if isinstance(container, dict):
        return list(container) == list(copy) and all(container[key] is copy[key] for key in copy)
    if isinstance(container, list):
        return len(container) == len(copy) and all(a is b for a, b in zip(container, copy, strict=True))
    return bool(container == copy)


def _random_state() -> dict[str, Any]:
    state: dict[str, Any] = {"torch": torch.get_rng_state(), "random": random.getstate()}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch ships it without types
        state["cuda"] = torch.cuda.get_rng_state()
    if "numpy" in sys.modules:
        state["numpy"] = sys.modules["numpy"].random.get_state()
    return state


def _restore(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    random.setstate(state["random"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])
    if "numpy" in state:
        sys.modules["numpy"].random.set_state(state["numpy"])
