"""A call and the name of an argument -> what adds it or takes it away, laid out as its neighbours are."""

from __future__ import annotations

import libcst as cst

from advisor.patching.declined import Declined
from advisor.patching.source import Replacement, Source


def argument(source: Source, call: cst.Call, name: str, position: int | None = None) -> cst.Arg | None:
    """The argument of that name, or at that position. Raises: Declined where `*` or `**` may hold it."""
    hidden = next((arg for arg in call.args if arg.star), None)
    if hidden is not None:
        raise Declined(f"line {source.line(call)} hides arguments in `{source.of(hidden)}`")
    for place, arg in enumerate(call.args):
        if arg.keyword.value == name if arg.keyword is not None else place == position:
            return arg
    return None


def added(source: Source, call: cst.Call, text: str) -> Replacement:
    """An argument more, after the others."""
    if not call.args:
        end = source.span(call)[1] - len(")")
        return Replacement(end, end, text)
    end = source.span(call.args[-1])[1]
    return Replacement(end, end, f"{separator(source, call)}{text}")


def removed(source: Source, call: cst.Call, arg: cst.Arg) -> Replacement:
    """The call without one of its arguments."""
    start, end = source.span(arg)
    place = call.args.index(arg)
    if place:
        return Replacement(source.span(call.args[place - 1])[1], end, "")
    return Replacement(start, source.span(call.args[1])[0] if len(call.args) > 1 else end, "")


def separator(source: Source, call: cst.Call) -> str:
    """What stands between the arguments of a call: a comma, and a new line where each has its own."""
    if len(call.args) > 1:
        between = source.gap(call.args[-2], call.args[-1])
        if between.strip() == ",":  # no comment in it
            return between
    return ", "


def callee(source: Source, call: cst.Call, name: str) -> tuple[str, cst.Name]:
    """What stands before the called name (`torch.optim.`), and the name. Raises: Declined where it is another one."""
    function = call.func
    last = function.attr if isinstance(function, cst.Attribute) else function
    if not isinstance(last, cst.Name) or last.value != name:
        raise Declined(f"line {source.line(call)} makes the {name} by `{source.of(function)}(...)`")
    return source.of(function).removesuffix(name), last
