"""`model.train()` before the statement of the epoch loop that trains, `model.eval()` before the one that validates."""

from __future__ import annotations

import libcst as cst

from advisor.patching.arguments import argument
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.source import Replacement, Source


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """What the run needed; a validation that gets its `eval()` needs a `train()` after it."""
    watch = source.call(shown.sites.watch, "the watched loop")
    given = argument(source, watch, "model", 1)
    if given is None or not isinstance(given.value, cst.Name | cst.Attribute):
        raise Declined(f"line {source.line(watch)} gives advisor.watch no variable as the model")
    model, loop = source.of(given.value), source.loop(shown.sites.loop, "advisor.watch(...)")
    if source.scope(loop) is not source.scope(watch):
        raise Declined(f"the loop over advisor.watch(...) is in another function than line {source.line(watch)}")
    pieces: list[Replacement] = []
    calls = {source.of(call) for call in source.all(cst.Call) if loop in source.parents(call)}
    if shown.number("train") or (shown.number("eval") and f"{model}.train()" not in calls):
        pieces.append(source.before(_leading(source, shown, loop, "train"), f"{model}.train()"))
    if shown.number("eval"):
        validating = source.before(_leading(source, shown, loop, "val"), f"{model}.eval()")
        if any(piece.start == validating.start for piece in pieces):
            raise Declined(f"one statement of the loop at line {source.line(loop)} both trains and validates")
        pieces.append(validating)
    return pieces


def _leading(source: Source, shown: Shown, loop: cst.For, which: str) -> cst.CSTNode:
    """The statement of the loop's own body from which the run went over a loader."""
    chains = shown.sites.calls.get(which, ())
    if not isinstance(loop.body, cst.IndentedBlock):
        raise Declined(f"line {source.line(loop)} holds a loop on one line")
    for statement in loop.body.body:
        if any(source.inside(site, statement) for chain in chains for site in chain):
            return statement
    raise Declined(f"no statement of the loop at line {source.line(loop)} was seen to go over the {which} loader")
