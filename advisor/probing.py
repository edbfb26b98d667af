"""When probes run, and on what: those that ask what the model computes in every run, within their share of its time;
those that train copies where a trial ordered them.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import thread_time
from typing import Any

import torch
from torch import Tensor, nn

from advisor.bridging import Again
from advisor.capture import autocast_like, own_loss
from advisor.fence import eager, untouched
from advisor.instruments import Live
from advisor.observing import Observer
from advisor.probes import Batch, Subject, known_probes, run_probe
from advisor.record import Json


class Probing:
    """The experiments of one watched loop.

    initial: a copy of the model with the weights from before the first step, where a trial ordered probes of it
    ordered: names of those
    """

    def __init__(self, live: Live, initial: nn.Module | None, ordered: Sequence[str]) -> None:
        self._live, self._initial, self._ordered = live, initial, ordered

    def first_epoch(self, observer: Observer) -> None:
        """The first epoch is over: the captured batches are known."""
        self._affordable(known_probes("none"), observer)
        self._affordable(known_probes("current"), observer)
        for name in self._ordered:
            if self._initial is not None and name in known_probes("initial"):
                self._run(name, observer, self._initial, torch.enable_grad())

    def finish(self, observer: Observer) -> None:
        """The last epoch is over: what the model computes is asked again of the trained weights."""
        self._affordable(known_probes("current"), observer)

    def _affordable(self, names: Sequence[str], observer: Observer) -> None:
        for name in names:
            if observer.sampling.probes(observer.elapsed):
                began = thread_time()
                self._run(name, observer, self._live.model, torch.no_grad())
                observer.sampling.charge_probe(thread_time() - began)

    def _run(self, name: str, observer: Observer, model: nn.Module, mode: Any) -> None:
        """Fenced; a probe that raises is noted and says nothing."""
        live, again = self._live, observer.losses.again
        if again is None or not observer.capture.batches:
            return

        def loss(outputs: Any, batch: Batch) -> Tensor:
            return loss_with_graph(outputs, batch, again)

        subject = Subject(model, self._like_the_users, loss, tuple(observer.capture.batches))
        own = model is live.model
        try:
            with observer.paused(), untouched(model if own else None), mode, eager():
                if own:
                    model.eval()
                with autocast_like(observer.capture.autocast):
                    result: dict[str, Json] = run_probe(name, subject)
            if result:
                live.fact(f"probe.{name}", result)
        except UnknownLoss:
            return
        except Exception as error:  # noqa: BLE001  the fence: a model that cannot be called so is not called so
            live.recorder.problem(f"probe {name}", error)

    def _like_the_users(self, model: nn.Module) -> torch.optim.Optimizer:
        """An optimizer of the class and options of the first one, for a copy of the model."""
        optimizer = self._live.optimizers[0]
        kind: Any = type(optimizer)
        like: torch.optim.Optimizer = kind([p for p in model.parameters() if p.requires_grad])
        options = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
        like.param_groups[0].update(options)
        return like


class UnknownLoss(TypeError):
    """The loop's loss cannot be computed for other data: no failure, the probe has nothing to go by."""


def loss_with_graph(outputs: Any, batch: Batch, again: Again) -> Tensor:
    """The user's loss on a probe's outputs, with its graph. Raises: UnknownLoss."""
    own = own_loss(outputs)
    if own is not None:
        return own
    logits = again.bridge.take(outputs)
    value = None if again.lost or logits is None else again.function(again.output(logits), batch.target)
    if not isinstance(value, Tensor):
        raise UnknownLoss("the loss function of this loop is not known")
    return value if value.dim() == 0 else value.mean()
