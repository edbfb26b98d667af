"""Another `lr` in the call that makes the optimizer, or in the constant that it names."""

from __future__ import annotations

import libcst as cst

from advisor.patching.arguments import added, argument
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.literals import literal, written
from advisor.patching.source import Replacement, Source

POSITION = 1  # of lr among the arguments of every optimizer of torch's


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """The rate that the run was given."""
    call = source.call(shown.optimizer.site, "the optimizer")
    if _rates_of_groups(source, call):
        raise Declined(f"line {source.line(call)} gives param_groups rates of their own")
    rate = written(shown.number("after"))
    given = argument(source, call, "lr", POSITION)
    if given is None:
        return [added(source, call, f"lr={rate}")]
    return [source.replaced(literal(source, given.value, "lr"), rate)]


def _rates_of_groups(source: Source, call: cst.Call) -> bool:
    start, end = source.span(call)
    keys = (node.key for node in source.all(cst.DictElement) if start <= source.span(node)[0] < end)
    return any(isinstance(key, cst.SimpleString) and key.evaluated_value == "lr" for key in keys)
