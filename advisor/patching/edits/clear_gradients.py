"""`optimizer.zero_grad()` before the backward pass; after the step where several backward passes share one."""

from __future__ import annotations

import libcst as cst

from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.edits._calls import only_call
from advisor.patching.source import Replacement, Source


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """One line. The optimizer's name is the one that its step is called by."""
    step = only_call(source, shown, "step")
    if not isinstance(step.func, cst.Attribute) or step.func.attr.value != "step" or step.args:
        raise Declined(f"line {source.line(step)} does not call the optimizer's own step(): `{source.of(step)}`")
    line = f"{source.of(step.func.value)}.zero_grad()"
    backward = only_call(source, shown, "backward")
    first, last = source.statement(backward), source.statement(step)
    if next(source.parents(first)) is next(source.parents(last)) and first is not last:
        return [source.before(first, line)]
    return [source.after(last, line)]
