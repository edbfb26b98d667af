"""`weight` or `pos_weight` in the call that computes the training loss; validation keeps the loss that it has.

The numbers are those that the run was weighted with. They lie on the device of the outputs or targets, by the name that
one of them has in the call: the loss itself needs both on one device.
"""

from __future__ import annotations

import libcst as cst

from advisor.class_balance import ARGUMENTS
from advisor.patching.arguments import argument
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.edits._imports import torch_name
from advisor.patching.edits._loss_call import LossCall, training_loss
from advisor.patching.literals import written
from advisor.patching.source import Replacement, Source

FUNCTIONS = {
    "CrossEntropyLoss": "cross_entropy",
    "NLLLoss": "nll_loss",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "BCELoss": "binary_cross_entropy",
}
MOST = 20  # numbers in a line that somebody has to read: a convention; the plan holds any number of them


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """One argument, in training alone; it takes the place of weights that the remedy has replaced."""
    weights = _weights(shown)
    loss = training_loss(source, shown, FUNCTIONS)
    name = ARGUMENTS.get(loss.function)
    if name is None:
        raise Declined(f"line {source.line(loss.call)} calls {loss.function}, which has no weights for classes")
    numbers = written(weights[1] / weights[0]) if name == "pos_weight" else f"[{', '.join(map(written, weights))}]"
    literal = f"{torch_name(source, loss.call)}.tensor({numbers}, device={_beside(source, loss)}.device)"
    return loss.with_argument(source, name, literal)


def _weights(shown: Shown) -> list[float]:
    """Of the classes, as the loss got them."""
    noted = shown.note.get("weights")
    weights = [float(one) for one in noted if isinstance(one, int | float)] if isinstance(noted, list) else []
    if not shown.note.get("calls"):
        raise Declined("no loss was weighted in the run")
    if len(weights) < 2:
        raise Declined("the run did not say what the weights were")
    if len(weights) > MOST:
        raise Declined(f"{len(weights)} weights are more than the {MOST} that a line of code is fit for")
    return weights


def _beside(source: Source, loss: LossCall) -> str:
    """A name in the call for a tensor on the right device."""
    for name, position in (("target", 1), ("input", 0)):
        given = argument(source, loss.call, name, position)
        if given is not None and _is_name(given.value):
            return source.of(given.value)
    raise Declined(f"line {source.line(loss.call)} has no name for its outputs or targets, whose device weights need")


def _is_name(value: cst.BaseExpression) -> bool:
    """`y` or `batch.y`: looked at twice, it is the same."""
    if isinstance(value, cst.Attribute):
        return _is_name(value.value)
    return isinstance(value, cst.Name)
