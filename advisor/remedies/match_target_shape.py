"""Brings the target to the shape of the prediction before they are compared, where broadcasting would pair them all.

## What it does
Where a loss that compares element by element gets (N, 1) and (N,), the target is reshaped to (N, 1). Torch's loss
functions are reached at their call, in training and in validation; in a loss that is written out, in the loop, in a
function or in a module of its own, the difference `output - target` is. Shapes that differ by more than axes of one
entry are left alone, and so is a prediction to which the loss itself has added an axis. It ends with the loop.

## When it helps
The training loss settles at the variance of the targets: the mean over all pairs is least where every prediction is
the mean of the targets.

## When it hurts
Where all pairs are meant, as in a ranking loss that is written without `[:, None]`.

## Cost
None.

## References
PyTorch, functional.mse_loss warns: "Using a target size that is different to the input size. This will likely lead to
incorrect results due to broadcasting."
PyTorch, Broadcasting semantics.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence, Missing
from advisor.loss_changes import LossArguments, own_module
from advisor.loss_inputs import ELEMENTWISE, loss_inputs
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._calls import Call, Called
from advisor.remedies._forward import InLoop, change_forward, check_reachable

CHANGES = frozenset({"target_shape"})


class Parameters(_Parameters):
    """It has none: the prediction has the shape."""


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The one choice, where the rule fired or the record shows two such shapes."""
    fired = any(finding.rule == "prediction_target_broadcast" for finding in diagnosis.findings)
    return [Parameters()] if fired or _enlarged(evidence) else []


def apply(session: Session, parameters: Parameters) -> None:  # noqa: ARG001  it has none
    """Raises: CannotApply where the model is compiled, or nothing is trained."""
    check_reachable(session, "match_target_shape")
    change = Aligned()
    session.on_loss(change.before_loss)
    own = [change_forward(session, None, {})]
    loss_fn = own_module(session.loss_fn)
    if loss_fn is not None:
        own.append(change_forward(session, change, {}, loss_fn))
    session.in_loop(InLoop(change.names, change.replaced, *own))
    session.on_finish(lambda: session.note("match_target_shape", {"reached": change.reached}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  it has none
    """Whether a target was reshaped."""
    note = record.facts.get("remedy.match_target_shape")
    return isinstance(note, dict) and bool(note.get("reached"))


class Aligned:
    """The change, wherever prediction and target meet.

    reached: in a training step; a difference in validation has no graph that tells which side is the prediction
    """

    names = frozenset({"sub"})

    def __init__(self) -> None:
        self.reached = False

    def chooses(self, calls: tuple[Call, ...]) -> None:
        """All differences."""

    def before_loss(self, call: LossArguments) -> LossArguments:
        output, target = call.output, call.target
        if call.name not in ELEMENTWISE or output is None or target is None or not enlarges(output, target):
            return call
        self.reached = True
        return call.replace(target=target.reshape(output.shape))

    def replaced(self, called: Called) -> Any:
        """The difference of two tensors, one of which comes from the model."""
        sides = list(called.args[:2])
        if len(sides) < 2 or not all(isinstance(side, Tensor) for side in sides) or not enlarges(*sides):
            return NotImplemented
        graded = [side.requires_grad for side in sides]
        if any(graded):
            prediction = graded.index(True)
            if all(graded) or sides[prediction].grad_fn is None or "Unsqueeze" in sides[prediction].grad_fn.name():
                return NotImplemented
            self.reached = True
        elif torch.is_grad_enabled() or not self.reached:
            return NotImplemented
        else:
            prediction = 0
        sides[1 - prediction] = sides[1 - prediction].reshape(sides[prediction].shape)
        return called.function(*sides, *called.args[2:], **called.kwargs)


def enlarges(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of as many entries, but for axes of one entry of the same shape, are broadcast to more."""
    if one.dim() == other.dim() or one.numel() != other.numel() or one.numel() < 2:
        return False
    if [n for n in one.shape if n > 1] != [n for n in other.shape if n > 1]:
        return False
    try:
        shape: torch.Size = torch.broadcast_shapes(one.shape, other.shape)  # type: ignore[no-untyped-call]
    except RuntimeError:
        return False
    return math.prod(shape) > one.numel()


def _enlarged(evidence: Evidence) -> bool:
    try:
        reached = list(loss_inputs(evidence))
    except Missing:
        return False
    return any(
        one.enlarged is not None and math.prod(one.output_shape) == math.prod(one.target_shape) for one in reached
    )
