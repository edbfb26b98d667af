"""A transform of the run -> the `Compose([...])` or `nn.Sequential(...)` of the script that made it, and its members.

Members are taken out and put in as the list is laid out: those with lines of their own go with their comments.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence

import libcst as cst

from advisor.call_sites import Made
from advisor.patching.arguments import argument, callee
from advisor.patching.declined import Declined
from advisor.patching.source import BOM, Replacement, Source

LISTS = ("Compose", "Sequential")
REST = re.compile(rb"[ \t]*(,?)[ \t]*(?:#[^\r\n]*)?(\r\n|\r|\n)")  # behind a member that has its line to itself


def list_of(source: Source, made: Made | None, what: str) -> cst.Call:
    """The call that made a transform. Raises: Declined where the script holds none that lists members."""
    if made is None:
        raise Declined(f"{what} is a function, or no call of the script was seen to make it")
    if made.kind not in LISTS:
        raise Declined(f"{what} is one {made.kind} (line {made.site.line}), and no Compose([...])")
    call = source.call(made.site, what)
    callee(source, call, made.kind)
    return call


def members(source: Source, call: cst.Call) -> list[cst.BaseExpression]:
    """What stands in its list. Raises: Declined where that is built elsewhere."""
    if callee_name(call) == "Sequential":
        if all(not arg.star and arg.keyword is None for arg in call.args):
            return [arg.value for arg in call.args]
    elif callee_name(call) == "Compose":
        given = argument(source, call, "transforms", 0)
        if given is not None and isinstance(given.value, cst.List):
            found = given.value.elements
            if all(isinstance(one, cst.Element) for one in found):
                return [one.value for one in found]
    raise Declined(f"line {source.line(call)} does not list the members of `{source.of(call.func)}` one by one")


def callee_name(value: cst.BaseExpression) -> str:
    """The last name of what is called; "" for what is no call of a name."""
    function = value.func if isinstance(value, cst.Call) else None
    last = function.attr if isinstance(function, cst.Attribute) else function
    return last.value if isinstance(last, cst.Name) else ""


def prefix_of(source: Source, call: cst.Call, *wanted: str) -> str:
    """What to write before other transforms' names. Raises: Declined where the script would have to import them."""
    prefix, _ = callee(source, call, callee_name(call))
    imported = (node.names for node in source.all(cst.ImportFrom) if not isinstance(node.names, cst.ImportStar))
    names = {alias.evaluated_name for aliases in imported for alias in aliases if alias.asname is None}
    missing = [name for name in wanted if name not in names]
    if missing and not prefix:
        raise Declined(f"the script names {callee_name(call)} without its module, and does not import {missing[0]}")
    return prefix


def taken_out(source: Source, listed: Sequence[cst.BaseExpression], gone: Collection[int]) -> list[Replacement]:
    """The list without some of its members, not all. Raises: Declined where a comment would go with a wrong one."""
    pieces = []
    for _, run in itertools.groupby(enumerate(sorted(gone)), lambda pair: pair[1] - pair[0]):  # of neighbours
        places = [place for _, place in run]
        first, last = places[0], places[-1]
        begin, rest = _line_start(source, listed[first]), _rest(source, listed[last])
        if begin is not None and rest is not None:
            pieces.append(Replacement(begin, source.span(listed[last])[1] + rest.end(), ""))
            continue
        after = last + 1 < len(listed)
        one, other = (last, last + 1) if after else (first - 1, first)
        if "#" in source.gap(listed[one], listed[other]):
            raise Declined(f"a comment stands between the members at line {source.line(listed[one])}")
        start, end = source.span(listed[first])[0], source.span(listed[last])[1]
        span = (start, source.span(listed[other])[0]) if after else (source.span(listed[one])[1], end)
        pieces.append(Replacement(*span, ""))
    return pieces


def appended(source: Source, listed: Sequence[cst.BaseExpression], text: str) -> list[Replacement]:
    """The list with one member more, on a line of its own where the last one has that."""
    end = source.span(listed[-1])[1]
    begin, rest = _line_start(source, listed[-1]), _rest(source, listed[-1])
    if begin is None or rest is None:
        return [Replacement(end, end, f", {text}")]
    indent = _body(source)[begin : source.span(listed[-1])[0]].decode()
    comma = [] if rest[1] else [Replacement(end, end, ",")]
    stop = end + rest.start(2)
    return [*comma, Replacement(stop, stop, f"{rest[2].decode()}{indent}{text},")]


def _line_start(source: Source, value: cst.CSTNode) -> int | None:
    """Where the line of a member begins; None where something else stands before it there."""
    start = source.span(value)[0]
    before = _body(source)[:start]
    blank = re.search(rb"(?:^|(?<=[\r\n]))[ \t]*$", before)
    return blank.start() if blank is not None else None


def _rest(source: Source, value: cst.CSTNode) -> re.Match[bytes] | None:
    """The rest of the line of a member; None where something else stands behind it there."""
    return REST.match(_body(source)[source.span(value)[1] :])


def _body(source: Source) -> bytes:
    """The text that spans count in."""
    return source.text.removeprefix(BOM)
