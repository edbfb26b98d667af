"""What the user gave to `watch` -> what made the run: script, command, versions; and what cannot be used, named."""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import sys
import time
from collections.abc import Iterable, Sized
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, IterableDataset

from advisor.errors import AdvisorError
from advisor.processes import mark
from advisor.record import LAUNCHER, Layer, RunInfo


def optimizers_in(given: Any, within: frozenset[int] = frozenset()) -> list[Any]:
    """The optimizers whose steps change the parameters: those that were given, or those that a wrapper hands on to.

    A wrapper, such as Lookahead, SAM, Accelerate's or a warm-up of the user's own, need not be an optimizer of torch's,
    nor have run its `__init__`; then its own steps cannot be heard, and those of what it holds can. One that is sound
    stands for itself where what it holds has other parameters.

    within: wrappers, by id, in which it was found
    """
    within |= {id(given)}
    held = [one for one in _held(given) if id(one) not in within]
    if isinstance(given, Iterable) and not isinstance(given, Optimizer) and not held:
        held = list(given)
    elif not held or (isinstance(given, Optimizer) and _parameters([given]) != _parameters(held)):
        return [given]
    return [found for one in held for found in optimizers_in(one, within)]


def _held(wrapper: object) -> list[Optimizer]:
    """The optimizers among an object's attributes, also in a list."""
    found: dict[int, Optimizer] = {}
    for value in getattr(wrapper, "__dict__", {}).values():
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, Optimizer):
                found[id(one)] = one
    return list(found.values())


def _parameters(optimizers: Iterable[Optimizer]) -> set[int]:
    return {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}


def check_arguments(model: object, optimizers: list[Any], train: object, mode: object) -> None:
    """Raises: AdvisorError, before the training begins."""
    if not isinstance(model, nn.Module):
        raise AdvisorError(
            f"expected a torch.nn.Module as model, found {type(model).__name__}", context="advisor.watch"
        )
    if not optimizers or not all(isinstance(o, Optimizer) for o in optimizers):
        kinds = ", ".join(type(o).__name__ for o in optimizers) or "none"
        raise AdvisorError(
            f"expected a torch.optim.Optimizer or a list of them, found {kinds}", context="advisor.watch"
        )
    unready = next((type(o).__name__ for o in optimizers if not hasattr(o, "_optimizer_step_post_hooks")), None)
    if unready is not None:
        raise AdvisorError(
            f"{unready} was never initialised as an optimizer of torch's, so its steps cannot be heard",
            context="advisor.watch",
            hint="call super().__init__(params, defaults) in its __init__",
        )
    if next(model.parameters(), None) is None:
        raise AdvisorError(
            "the model has no parameters, so there is nothing to train",
            context="advisor.watch",
            hint="layers in a plain list are not registered: use nn.ModuleList",
        )
    if _length(train) == 0:
        raise AdvisorError(
            "the training loader is empty",
            context="advisor.watch(train=…)",
            hint="a data set smaller than batch_size with drop_last=True gives no batch",
        )
    if mode not in (None, "min", "max"):
        raise AdvisorError(f"expected 'min' or 'max', found {mode!r}", context="advisor.watch(mode=…)")


def describe(
    iterable: Iterable[Any], model: nn.Module, name: str | None, metric: str | None, mode: Literal["min", "max"] | None
) -> RunInfo:
    """What made the run, from this process and the arguments of `watch`."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    script = Path(main).absolute() if main else None
    source = None
    if script is not None and script.suffix == ".py":
        try:
            source = script.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            source = None
    parameter = next(model.parameters())
    launcher = os.environ.get(LAUNCHER, "")
    return RunInfo(
        name=name or (script.name if script else "notebook"),
        started=time.time(),
        script=str(script) if script else None,
        source=source,
        source_hash=hashlib.sha256(source.encode()).hexdigest() if source is not None else None,
        command=tuple(sys.argv),
        directory=str(Path.cwd()),
        versions={"python": platform.python_version(), "torch": torch.__version__},
        device=str(parameter.device),
        host=socket.gethostname(),
        pid=os.getpid(),
        process=mark(os.getpid()),
        launcher=int(launcher) if launcher.isdigit() else None,
        epochs=_length(iterable),
        metric=metric,
        mode=mode,
    )


def _length(iterable: object) -> int | None:
    """Its length; None where it has none, or where asking would change it (a loader of an iterable data set warns)."""
    if isinstance(iterable, DataLoader) and isinstance(iterable.dataset, IterableDataset):
        return None
    return len(iterable) if isinstance(iterable, Sized) else None


def layer_info(name: str, module: nn.Module) -> Layer:
    """A layer as the record lists it."""
    own = list(module.parameters(recurse=False))
    total = sum(p.numel() for p in own)
    return Layer(name=name, kind=type(module).__name__, parameters=total, trainable=any(p.requires_grad for p in own))
