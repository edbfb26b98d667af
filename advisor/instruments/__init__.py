"""Live torch objects -> numbers. One file an instrument, found by being here.

An instrument's module defines one class `Instrument`-like named in its `instrument = ClassName` line; `watch` makes one
for each run and calls whichever of the events below it defines. The training loop in events, `*` only on sampled steps:

    start(live)                               once, before the first epoch
    for each step:
        train_batch(live, batch)           +  as the loader gave it, before a remedy changes it
        loss_called(live, heard)           *  a loss function ran, torch's or the loop's own; its graph is there
        before_backward(live, root)        *  of every micro-batch; gradients are what the last step or micro-batch left
        step_loss(live, call)              *  a training loss was computed (of every micro-batch)
        after_backward(live, root)         *  gradients are there, the graph below `root` can still be walked
        before_step(live, optimizer)       *  gradients are what the optimizer gets, parameters not yet changed
        after_step(live, optimizer)        *  parameters are changed
        step_in_eval(live)                    an optimizer has stepped while the model is in eval mode
        step_end(live)                     *  all optimizers have stepped
    val_batch(live, batch)                 +  as the loader gave it
    train_inputs, val_inputs(live, given)  +  (args, kwargs) of a forward pass of the user's, as the model gets them
                                              train_inputs once the pass has led to a loss, after its backward
    validation(live, call)                    each loss of the user's validation, or of watch's own (`live.own_pass`)
    clean(live, calls, inputs)                after an eval-mode pass over the fixed part of the training data
    epoch_end(live)                           after each epoch; `live.losses` holds its steps' losses
    finish(live)                              once

`+`: in the first two epochs as long as a share of the run's time lasts for it; training batches also on sampled steps.
None of them may synchronise the device, draw a random number, or keep a graph alive: hand tensors to `live.emit`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from advisor.losses import HeardLoss, LossCall
from advisor.record import Json, Phase, Task
from advisor.recording import Recorder

EVENTS = (
    "start",
    "train_batch",
    "loss_called",
    "before_backward",
    "step_loss",
    "after_backward",
    "before_step",
    "after_step",
    "step_in_eval",
    "step_end",
    "val_batch",
    "train_inputs",
    "val_inputs",
    "validation",
    "clean",
    "epoch_end",
    "finish",
)


@dataclass(frozen=True, slots=True)
class LiveLayer:
    """A module that owns parameters itself."""

    name: str
    module: nn.Module
    parameters: tuple[nn.Parameter, ...]


@dataclass
class Live:
    """What instruments see of a running loop.

    model: as the user wrote it, below any wrapper; layers in the order of `named_modules`
    step:  optimizer steps so far; epoch: index of the one under way
    """

    model: nn.Module
    optimizers: Sequence[Optimizer]
    layers: Sequence[LiveLayer]
    recorder: Recorder
    step: int = 0
    epoch: int = 0
    steps_in_epoch: int = 0
    task: Task | None = None
    loss_name: str = ""
    train: DataLoader[Any] | None = None
    val: DataLoader[Any] | None = None
    loader: DataLoader[Any] | None = None  # of the last batch, whatever it is for
    schedulers: list[Any] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)  # of the epoch under way, by phase
    samples: int = 0  # training samples of the epoch under way
    losses: Tensor | None = None  # (S,) of the steps of the epoch that ends, on the device
    own_pass: bool = False  # what runs now is an evaluation of watch's own
    skipped_steps: set[int] = field(default_factory=set)  # optimizers, by id, whose step under way a plan holds back
    validated_in_train: bool | None = False  # the mode of the newest validation loss; None: it is of another model

    def emit(self, name: str, phase: Phase, values: Tensor | Sequence[float], axis: tuple[str, ...] = ("",)) -> None:
        """Record values of shape () or (len(axis),) at this step and epoch."""
        self.recorder.add(name, phase, self.step, self.epoch, values, axis)

    def fact(self, name: str, value: Json) -> None:
        self.recorder.fact(name, value)

    @property
    def device(self) -> torch.device:
        parameter = next(self.model.parameters(), None)
        return parameter.device if parameter is not None else torch.device("cpu")


class Instruments:
    """One of each kind, for one run."""

    def __init__(self, live: Live) -> None:
        self._live = live
        made = {name: kind() for name, kind in known_instruments().items()}
        self._handlers: dict[str, list[tuple[str, Callable[..., None]]]] = {
            event: [(name, getattr(one, event)) for name, one in made.items() if hasattr(one, event)]
            for event in EVENTS
        }

    def tell(self, event: str, *values: Any) -> None:
        """Call every instrument that defines the event; one that raises is noted and detached."""
        for name, handler in list(self._handlers[event]):
            try:
                handler(self._live, *values)
            except Exception as error:  # noqa: BLE001  the fence: our error must not become the user's
                self._live.recorder.problem(f"instrument {name}", error)
                for handlers in self._handlers.values():
                    handlers[:] = [pair for pair in handlers if pair[0] != name]


@cache
def known_instruments() -> dict[str, type[Any]]:
    """Name of the file -> its class."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_"))
    return {name: importlib.import_module(f"{__name__}.{name}").instrument for name in names}


def layers_of(model: nn.Module) -> tuple[LiveLayer, ...]:
    """The modules that own parameters, each parameter once (a shared one belongs to the first)."""
    seen: set[int] = set()
    found = []
    for name, module in model.named_modules():
        own = tuple(p for p in module.parameters(recurse=False) if id(p) not in seen)
        seen.update(id(p) for p in own)
        if own:
            found.append(LiveLayer(name or type(module).__name__, module, own))
    return tuple(found)


__all__ = ["EVENTS", "HeardLoss", "Instruments", "Live", "LiveLayer", "LossCall", "known_instruments", "layers_of"]
