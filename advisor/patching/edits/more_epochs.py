"""Another number in the `range(...)` that is given to `advisor.watch`, or in the constant that it names.

`range(1, epochs + 1)` counts as many as `epochs` says.
"""

from __future__ import annotations

import libcst as cst

from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.literals import literal, number
from advisor.patching.source import Replacement, Source


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """The length that the run had. A schedule that was stretched with it must hang on the same constant."""
    call = source.call(shown.sites.watch, "the watched loop")
    given = call.args[0].value if call.args else None
    if not isinstance(given, cst.Call) or not isinstance(given.func, cst.Name) or given.func.value != "range":
        raise Declined(f"line {source.line(call)} does not give advisor.watch a range(...)")
    stretched, after = shown.names("stretched"), int(shown.number("after"))
    value, first = _counted(source, given)
    if stretched and not isinstance(value, cst.Name | cst.Attribute):
        raise Declined(f"the schedule ({', '.join(stretched)}) has a length of its own, which would have to change too")
    return [source.replaced(literal(source, value, "the number of epochs", also=stretched), str(first + after))]


def _counted(source: Source, given: cst.Call) -> tuple[cst.BaseExpression, int]:
    """What says how many there are, and what is to be added to their number there."""
    values = [arg.value for arg in given.args]
    if len(values) == 1:
        return values[0], 0
    first, stop = values if len(values) == 2 else (None, None)  # a third is a step
    if isinstance(first, cst.Integer):
        if isinstance(stop, cst.Integer):
            return stop, int(number(source, first))
        if (
            isinstance(stop, cst.BinaryOperation)
            and isinstance(stop.operator, cst.Add)
            and isinstance(stop.right, cst.Integer)
            and number(source, stop.right) == number(source, first)
        ):
            return stop.left, 0
    raise Declined(f"line {source.line(given)} does not say how many epochs there are: `{source.of(given)}`")
