"""The hooks on the training path: what the loop does -> instruments, on sampled steps; a few counters, on every step.

Everything here runs inside the user's loop. Nothing raises, nothing draws a random number, nothing waits for a device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter, thread_time
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from advisor import taps
from advisor.capture import Capture, current_autocast
from advisor.forwards import Forwards
from advisor.hooks import Hooks, is_torchs
from advisor.instruments import Instruments, Live
from advisor.loss_changes import LossChange
from advisor.losses import LossCall, heard_loss
from advisor.roles import Roles, samples_in
from advisor.sampling import EPOCHS_READ, Sampling
from advisor.training_losses import MOST_PENDING, TrainingLosses
from advisor.validations import Validations


class Observer:
    """One watched loop's ears. `watching` owns the loop's ends and its epochs; this sees what happens inside."""

    def __init__(
        self,
        live: Live,
        model: nn.Module,
        loss_fn: Callable[..., Any] | None,
        *,
        batch_changes: Sequence[Callable[[Any], Any]],
        step_actions: Sequence[Callable[[int], None]],
        loss_changes: Sequence[LossChange] = (),
    ) -> None:
        self.live = live
        self.sampling, self.capture = Sampling(), Capture()
        self.steps = 0  # rounds of optimizer steps that are done
        self.exhausted = False  # a loader ran to its end since the epoch began
        self.tell = Instruments(live).tell
        self._batch_changes, self._step_actions, self.loss_changes = batch_changes, step_actions, loss_changes
        self._roles = Roles(model, live.train, live.val)
        self._hooks = Hooks(model, live.optimizers, None if loss_changes and is_torchs(loss_fn) else loss_fn, self)
        self._began = self._mark = perf_counter()
        self._paused = self._inside = 0  # passes of our own; calls of the user's loss_fn
        self._inner_name: str | None = None
        self.close = self._reads = True  # this step is sampled; its batch is read, sampled or not
        self._next = 2  # the next one that is
        self._plain = False  # nothing but counting is to be done after a step
        self._pending: deque[tuple[str, Callable[..., Any], Any, Any, Any]] = deque(maxlen=MOST_PENDING)
        self._forwards = Forwards()
        self.losses = TrainingLosses(live)
        self.validations = Validations(live, self._roles, self.losses, self.tell, self.paused)
        self._stepped: set[int] = set()
        self._backward_seconds = self._forward_seconds = self._step_seconds = self._data_seconds = self._cost = 0.0
        self._one = len(live.optimizers) == 1
        self._first_epoch = self._capturing = True
        self._hooks.hear_forwards(True)
        self._hooks.hear_steps(self.close)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Not listening: our own passes are under way; their CPU time is charged."""
        self._paused += 1
        began = thread_time()
        try:
            yield
        finally:
            self._paused -= 1
            self._mark = perf_counter()
            self.sampling.charge(thread_time() - began)

    def end_epoch(self) -> None:
        """Settle what is open."""
        self.validations.end_epoch()
        self._roles.ends()
        taken = self._data_seconds, self._forward_seconds, self._backward_seconds, self._step_seconds
        self.live.seconds |= zip(("data", "forward", "backward", "step"), taken, strict=True)
        self._backward_seconds = self._forward_seconds = self._step_seconds = self._data_seconds = 0.0
        if self._first_epoch:  # what a training forward gets is known now; validation asks again by its loader
            self._first_epoch = self._capturing = False
            self._hooks.hear_forwards(False)
            if self._hooks.loss_fn_is_torchs and self._inner_name in taps.LOSSES:
                self._hooks.leave_loss_fn()
                self.losses.named = self._inner_name
        if self._stepped and not self._one:
            self._end_round(perf_counter())

    def detach(self) -> None:
        self._hooks.remove()
        self._pending, self._forwards = deque(), Forwards()
        self.validations.forget()
        self._roles.ends()

    @property
    def elapsed(self) -> float:
        return perf_counter() - self._began

    def validating(self) -> bool:
        return self._roles.validating(begun=self.steps > 0)

    def heard_batch(self, loader: DataLoader[Any], batch: Any, began: float, ended: float) -> Any:
        if self._paused:
            return batch
        self._inside = 0
        self.validations.judge()
        training, self.live.loader = self._roles.begins(loader), loader
        if training:
            self._data_seconds += ended - began
            self._mark = ended
            self.live.samples += samples_in(batch)
            if self._reads:
                self._read("train_batch", batch)
            for change in self._batch_changes:
                batch = change(batch)
        else:
            self._hooks.hear_forwards(True)
            if self._roles.role in (None, "val") and self.live.epoch < EPOCHS_READ:
                self._read("val_batch", batch)
        self._roles.batch = batch
        return batch

    def heard_before_backward(self, root: Tensor) -> None:
        if not self._paused:
            self._charged("before_backward", root)

    def heard_exhausted(self, _: DataLoader[Any]) -> None:
        if not self._paused:
            self.validations.judge()
            if self._roles.role != "val":
                self.exhausted = True
            self._hooks.hear_forwards(self._capturing)
            self._roles.ends()

    def heard_loss(self, name: str, function: Callable[..., Any], args: Any, kwargs: Any, value: Any) -> None:
        if self._paused:
            return
        try:
            if self.close and torch.is_grad_enabled() and not self.validating():
                self._charged("loss_called", heard_loss(name, function, args, kwargs, value, inside=self._inside > 0))
            if self._inside:
                self._inner_name = name
            elif torch.is_grad_enabled() and (self._roles.role == "train" or not self.validating()):  # most steps
                if isinstance(value, Tensor) and value.requires_grad:
                    self._pending.append((name, function, args, kwargs, value))
            elif self.validating():
                self.validations.loss(self.losses.of_validation(name, function, args, kwargs, value))
        except Exception as error:  # noqa: BLE001  the fence
            self.live.recorder.problem("loss", error)

    def heard_backward(self, root: Tensor, began: float, ended: float) -> None:
        if self._paused:
            return
        self._backward_seconds += ended - began
        self._forward_seconds += began - self._mark
        pending = self._pending
        if not self.close and not self._capturing and len(pending) == 1:  # the common step
            _, function, _, kwargs, value = call = pending.pop()
            if not value.dim() and (kwargs.get("reduction") or getattr(function, "reduction", "mean")) == "mean":
                self.losses.keep(value.detach())
                if self._first_epoch:
                    self._forwards.clear()
                    self._captured(self.capture.skip())
                self._mark = ended
                return
            pending.append(call)
        try:
            self._training_loss(root)
        except Exception as error:  # noqa: BLE001  the fence
            self.live.recorder.problem("backward", error)
        self._mark = perf_counter()

    def heard_forward(self, _: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if self._paused:
            return
        if self.validating():
            self._read("val_inputs", (args, kwargs))
            self.validations.forward(output, args, kwargs)
        elif torch.is_grad_enabled():
            self._forwards.heard(args, kwargs, output)
            self.validations.trained(args, kwargs)

    def heard_loss_fn_begin(self, *_: Any) -> None:
        self._inside, self._inner_name = self._inside + 1, None

    def heard_loss_fn_end(self, module: nn.Module, args: Any, kwargs: Any, value: Any) -> None:
        self._inside = max(0, self._inside - 1)
        if value is not None:
            name = str(self._inner_name or getattr(module, "__name__", type(module).__name__))
            self.heard_loss(name, module, args, kwargs, value)

    def heard_before_step(self, optimizer: Optimizer, *_: Any) -> None:
        if self.close and not self._paused and id(optimizer) not in self.live.skipped_steps:
            self._charged("before_step", optimizer)

    def heard_after_step(self, optimizer: Optimizer, *_: Any) -> None:
        if self._paused or id(optimizer) in self.live.skipped_steps:
            return
        ended = perf_counter()
        self._step_seconds += ended - self._mark
        if self._plain and self.live.model.training and not self._pending and self.steps + 2 < self._next:  # most steps
            self.steps += 1
            self.live.steps_in_epoch += 1
            self.live.step = self.steps + 1
            self._roles.used = True
            self._mark = ended
            return
        if self._pending:  # a loop without Tensor.backward
            self.losses.without_backward(self._pending)
            self._pending.clear()
        if self.close:
            self._charged("after_step", optimizer)
        if not self.live.model.training:
            self.tell("step_in_eval")
        if id(optimizer) in self._stepped:
            self._end_round(ended)
        self._stepped.add(id(optimizer))
        if len(self._stepped) == len(self.live.optimizers):
            self._end_round(ended)

    def _end_round(self, began: float) -> None:
        """All optimizers have stepped once: a step is done. `began`: since when this work is ours."""
        live = self.live
        self._stepped.clear()
        self._roles.used = True
        if self.close:
            self._charged("step_end")
            self.sampling.sampled(self._cost, self.steps + 1, began - self._began)
            self._cost = 0.0
        self.steps += 1
        live.steps_in_epoch += 1
        live.step = self.steps + 1
        for action in self._step_actions:
            action(self.steps)
        if self.close or live.step >= self._next:
            self._next = self.sampling.next_after(self.steps)
            self.close = self._next == live.step
            self._hooks.hear_steps(self.close)
            if self.close:
                self._next = self.sampling.next_after(live.step)
            self._plain = self._one and not self.close and not self._step_actions
            self._reads = self.close or live.epoch < EPOCHS_READ
            began = perf_counter()
        self._mark = began

    def _training_loss(self, root: Tensor) -> None:
        pending, self._pending = self._pending, deque(maxlen=MOST_PENDING)
        forwards, self._forwards = self._forwards, Forwards()
        if self._roles.trains() and self.live.train is None:
            self.live.train = self._roles.loader
        began = thread_time()
        call = self.losses.of_backward(pending, root, forwards.last_output, self._roles)
        self.losses.keep(call.value)
        if self._first_epoch:
            self._capture(forwards.of(call, pending, root), call)
        if self.close:
            self.tell("step_loss", call)
            self.tell("after_backward", root)
        self._cost += thread_time() - began

    def _charged(self, event: str, *values: Any) -> None:
        """Tell the instruments on a sampled step; CPU time is charged, so that a busy machine blinds nobody."""
        began, spent = perf_counter(), thread_time()
        self.tell(event, *values)
        self._cost += thread_time() - spent
        self._mark += perf_counter() - began

    def _read(self, event: str, batch: Any) -> None:
        """Show the instruments a batch as the loader gave it, as long as the share of the time for it lasts."""
        began, spent, phase = perf_counter(), thread_time(), event.partition("_")[0]
        if self.close or self.sampling.reads(phase, self.live.epoch, began - self._began):
            self.tell(event, batch)
            self.sampling.charge_reading(phase, self.live.epoch, thread_time() - spent)
            self._mark += perf_counter() - began

    def _capture(self, forward: Any, call: LossCall) -> None:
        if forward is not None:  # read now, and not when it was called: others may not have reached the loss
            self._read("train_inputs", forward[:2])
        wanted = forward is not None and self._capturing
        if wanted and not self.capture.batches:
            self.capture.autocast = current_autocast(self.live.device.type)
            output = self.losses.bridge.find(forward[2], call.handed_output)
            self.losses.bridge.learn(output, call.handed_output, self._roles.second(), call.handed_target)
        kept = self.capture.offer(forward[0], forward[1], call.handed_target) if wanted else self.capture.skip()
        self._captured(kept)

    def _captured(self, more: bool) -> None:
        """Hook the coming forward where its batch is wanted; in the first epoch of a loop without loaders, each."""
        if more is not self._capturing:
            self._capturing = more
            self._hooks.hear_forwards(more or (self._first_epoch and self._roles.loader is None))
