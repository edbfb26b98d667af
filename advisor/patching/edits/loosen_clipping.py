"""Another limit in the loop's call of `clip_grad_norm_` or `clip_grad_value_`; the call goes where nothing limits."""

from __future__ import annotations

import libcst as cst

from advisor.patching.arguments import argument
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.literals import literal, number, written
from advisor.patching.source import Replacement, Source

LIMITS = {"clip_grad_norm_": "max_norm", "clip_grad_value_": "clip_value"}  # the second argument of both


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """Each place that clips."""
    factor = shown.parameters.get("factor")
    pieces = []
    for name, limit in LIMITS.items():
        for site in {chain[0] for chain in shown.sites.calls.get(name, ())}:
            call = source.call(site, name)
            given = argument(source, call, limit, 1)
            if given is None:
                raise Declined(f"line {source.line(call)} gives {name} no {limit}")
            if isinstance(factor, int | float):
                node = literal(source, given.value, limit)
                pieces.append(source.replaced(node, written(number(source, node) * factor)))
            else:
                pieces.append(_without(source, call))
    if not pieces:
        raise Declined("no call that clips was seen in the run")
    return pieces


def _without(source: Source, call: cst.Call) -> Replacement:
    """The statement taken away, where it is nothing but this call and not alone in its block."""
    statement = source.statement(call)
    block = next(source.parents(statement))
    alone = isinstance(block, cst.IndentedBlock) and len(block.body) == 1
    if source.of(statement) != source.of(call) or alone:
        raise Declined(f"line {source.line(call)} does more than to clip")
    return source.without(statement)
