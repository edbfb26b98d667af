"""Another number in the `range(...)` that is given to `advisor.watch`, or in the constant that it names."""

from __future__ import annotations

import libcst as cst

from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.literals import literal
from advisor.patching.source import Replacement, Source


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """The length that the run had. A schedule that was stretched with it must hang on the same constant."""
    call = source.call(shown.sites.watch, "the watched loop")
    given = call.args[0].value if call.args else None
    if not isinstance(given, cst.Call) or not isinstance(given.func, cst.Name) or given.func.value != "range":
        raise Declined(f"line {source.line(call)} does not give advisor.watch a range(...)")
    stretched, after = shown.names("stretched"), int(shown.number("after"))
    if len(given.args) != 1:
        raise Declined(f"line {source.line(call)} counts from another number than 0: `{source.of(given)}`")
    value = given.args[0].value
    if stretched and not isinstance(value, cst.Name | cst.Attribute):
        raise Declined(f"the schedule ({', '.join(stretched)}) has a length of its own, which would have to change too")
    return [source.replaced(literal(source, value, "the number of epochs", also=stretched), str(after))]
