"""The losses of a training loop: every step's value, kept on its device; and what the loop's loss function is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from advisor.bridging import Again, Bridge, main_output
from advisor.instruments import Live
from advisor.losses import NO_SCORE, VALUES, LossCall, loss_call, task_of
from advisor.roles import Roles

MOST_PENDING = 64  # losses before a backward pass: where none ever comes, we must not keep all their graphs alive
CHUNK = 256  # losses kept one by one before they are packed: bounds memory, and the copy is one kernel


class TrainingLosses:
    """again: the loop's loss function, to be computed again; None until one was seen.

    bridge: what the loop does between its model and its loss
    named: the function of torch's that the loop's `loss_fn` calls, once it is known
    target_first: the loss function, if any, that the loop calls as `loss_fn(target, output)`
    main: name and shape (without the batch) of the loss that is compared, where a step adds up several; else None
    """

    def __init__(self, live: Live) -> None:
        self.again: Again | None = None
        self.bridge = Bridge()
        self.named: str | None = None
        self.target_first: str | None = None
        self.main: tuple[str, tuple[int, ...]] | None = None
        self._masks: set[str] = set()  # losses of the loop's own whose targets are zeros and ones
        self._live = live
        self._values: list[Tensor] = []
        self._chunks: list[Tensor] = []

    def keep(self, value: Tensor) -> None:
        """Take the loss of a backward pass: a scalar, detached, a mean."""
        self._values.append(value)
        if len(self._values) >= CHUNK:
            self._pack()

    def take(self) -> Tensor | None:
        """(S,) what was kept since the last call; None where that is nothing."""
        self._pack()
        chunks, self._chunks = self._chunks, []
        return torch.cat(chunks) if chunks else None

    def of_backward(self, pending: Sequence[Any], root: Tensor, output: Any, roles: Roles) -> LossCall:
        """The loss of a backward pass: the one loss function that ran, else the value that backward began at.

        pending: the calls of loss functions since the last backward pass; output: of the model's forward, if seen
        """
        calls = [call for call in (loss_call(*item) for item in pending) if call is not None]
        whole = [call for call in calls if call.output is not None and call.target is not None]
        first = max(whole, key=lambda call: self._rank(call, roles), default=None)
        self.main = kind(first) if first is not None and len(whole) > 1 else None
        if first is None:
            main = main_output(output)
            predicted = None if main is None else main.detach()
            first = LossCall("", root.detach(), predicted, roles.target_for(predicted), _unknown)
        else:
            self.again = Again(first.again, self.bridge)
            self.target_first = first.name if first.target_first else None
            self.learn(first)
        value = calls[0].value if len(calls) == 1 else root.detach().float().mean()
        return LossCall(first.name, value, first.output, first.target, first.again, first.handed)

    def _rank(self, call: LossCall, roles: Roles) -> tuple[bool, bool, bool]:
        """Which of several is the main one: the loop's `loss_fn`, that of the batch's target, one with a score."""
        given = roles.target_for(call.output)
        target = call.handed_target
        own = given is not None and target is not None and given.data_ptr() == target.data_ptr()
        return call.name == self.named, own, call.name not in NO_SCORE

    def of_validation(self, *call: Any) -> LossCall | None:
        """A call of a loss function (name, function, args, kwargs, value) where no gradients tell its sides apart."""
        return loss_call(*call, target_first=self.target_first)

    def without_backward(self, pending: Sequence[Any]) -> None:
        """An optimizer stepped without `Tensor.backward`: the last loss that was computed is the step's."""
        try:
            call = loss_call(*pending[-1])
            if call is not None:
                self.again = self.again or Again(call.again, self.bridge)
                self.learn(call)
                self.keep(call.value)
        except Exception as error:  # noqa: BLE001  the fence
            self._live.recorder.problem("loss", error)

    def learn(self, call: LossCall) -> None:
        """The first call says what kind of problem this is.

        A loss of the loop's own over zeros and ones, such as Dice, may take logits or probabilities: no score is right.
        """
        live = self._live
        if live.task is None and call.name not in self._masks:
            live.task = task_of(call.name, call.output, call.target)
            if live.task == "regression" and call.name not in VALUES and _is_mask(call.target):
                self._masks.add(call.name)
                live.task = None
            live.loss_name = call.name
            live.fact("loss", call.name)
            if live.task is not None:
                live.recorder.info = live.recorder.info.model_copy(update={"task": live.task})

    def _pack(self) -> None:
        values, self._values = self._values, []
        if values:
            if any(value.dim() or value.dtype is not torch.float32 for value in values):
                values = [value.float().reshape(()) for value in values]
            self._chunks.append(torch.stack(values))


def kind(call: LossCall) -> tuple[str, tuple[int, ...]]:
    """What tells the losses of a step apart: (name, shape of the output without the batch)."""
    return call.name, tuple(call.output.shape[1:]) if call.output is not None else ()


def _is_mask(target: Tensor | None) -> bool:
    """Zeros and ones only, as far as that is known without waiting for a device."""
    if target is None or target.device.type != "cpu" or not target.numel():
        return False
    return bool(((target == 0) | (target == 1)).all())


def _unknown(_: Any, __: Any) -> None:
    """The loss of a loop whose loss function was never seen cannot be computed again."""
