"""`label_smoothing` in the call that computes the training loss; validation keeps the loss that it has."""

from __future__ import annotations

import libcst as cst

from advisor.patching.arguments import added, argument, callee
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.edits._calls import only_call
from advisor.patching.literals import literal, written
from advisor.patching.source import Replacement, Source

MODULE, FUNCTION = "CrossEntropyLoss", "cross_entropy"


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """The share that the run had. The function takes the place of a loss that is an object, in training alone."""
    share = shown.parameters["smoothing"]
    assert isinstance(share, float)  # mypy: the remedy's own parameter
    watch = source.call(shown.sites.watch, "the watched loop")
    given = argument(source, watch, "loss_fn", 3)
    own = source.of(given.value) if given is not None else ""
    call = _training_call(source, only_call(source, shown, "backward"), own)
    smoothed = argument(source, call, "label_smoothing")
    if source.of(call.func) != own:
        if smoothed is not None:
            return [source.replaced(literal(source, smoothed.value, "label_smoothing"), written(share))]
        return [added(source, call, f"label_smoothing={written(share)}")]
    loss = shown.sites.loss_fn
    made = source.call(loss.site if loss is not None else None, "the loss")
    prefix, _ = callee(source, made, MODULE)
    if made.args or not prefix:
        raise Declined(f"line {source.line(made)}: `{source.of(made)}` is no nn.{MODULE}() without arguments")
    text = f"{prefix}functional.{FUNCTION}"
    return [source.replaced(call.func, text), added(source, call, f"label_smoothing={written(share)}")]


def _training_call(source: Source, backward: cst.Call, own: str) -> cst.Call:
    """The one call of the loss in the innermost loop around backward."""
    loop = next((parent for parent in source.parents(backward) if isinstance(parent, cst.For)), None)
    inside = [call for call in source.all(cst.Call) if any(parent is loop for parent in source.parents(call))]
    found = [call for call in inside if source.of(call.func) == own or _is_function(call.func)]
    if len(found) != 1:
        raise Declined(f"the loop of line {source.line(backward)} calls its loss at {len(found)} places")
    return found[0]


def _is_function(function: cst.BaseExpression) -> bool:
    last = function.attr if isinstance(function, cst.Attribute) else function
    return isinstance(last, cst.Name) and last.value == FUNCTION
