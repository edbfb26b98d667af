"""`scheduler.step()` moved from the loop over the batches to behind it, with the same text."""

from __future__ import annotations

import libcst as cst

from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.edits._calls import only_call
from advisor.patching.source import Replacement, Source


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """The one call, where it is a statement of the loop's own body. Raises: Declined for any other."""
    call = only_call(source, shown, "scheduler.step")
    line = source.line(call)
    if call.args:
        raise Declined(f"line {line} gives `{source.of(call)}` something of each batch")
    statement = source.statement(call)
    block, loop = (*source.parents(statement), None)[:2]
    loops = [source.loop(chain[0], "the training loader") for chain in shown.sites.calls.get("train", ())]
    alone = source.of(statement) == source.of(call)
    if not alone or not isinstance(loop, cst.For) or all(loop is not one for one in loops):
        raise Declined(f"`{source.of(call)}` at line {line} is no statement of the loop over the training loader")
    assert isinstance(block, cst.IndentedBlock)  # mypy: a statement with lines of its own is in one
    if len(block.body) == 1 or loop.orelse is not None:
        raise Declined(f"the loop at line {source.line(loop)} holds nothing else, or has an else")
    steps = [chain[0] for chain in shown.sites.calls.get("step", ()) if source.inside(chain[0], loop)]
    if any(source.span(source.call(site, "the optimizer's step"))[0] > source.span(call)[0] for site in steps):
        raise Declined(f"line {line} steps the scheduler before the optimizer; put it behind that one first")
    if statement is not block.body[-1]:
        return [source.without(statement), source.after(loop, source.of(call))]
    begin, indent = source.before(statement, "").start, source.before(loop, "").text.rstrip("\r\n")
    return [Replacement(begin, source.span(statement)[0], indent)]
