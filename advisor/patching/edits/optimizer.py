"""Another optimizer in the call that makes it: class, rate, and only the arguments that mean the same in both."""

from __future__ import annotations

import libcst as cst

from advisor.patching.arguments import added, argument, callee, removed
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.literals import literal, written
from advisor.patching.source import Replacement, Source

KEPT = ("params", "lr", "weight_decay", "maximize")  # what the remedy carries over; the rest gets the class's defaults
MODULES = ("torch.optim.", "optim.")  # where a prefix names the module, any class of torch's is at hand
DECAY = {"AdamW": 1e-2}  # torch's default for weight_decay; 0 for the others


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """The optimizer that the run was given."""
    made = shown.optimizer
    call = source.call(made.site, "the optimizer")
    prefix, name = callee(source, call, made.kind)
    kind, rate = str(shown.note.get("after")), written(shown.number("lr"))
    if kind != made.kind and prefix not in MODULES:
        raise Declined(
            f"line {source.line(call)} names {made.kind} without torch.optim, so another would need an import"
        )
    pieces = [source.replaced(name, kind)]
    lr = argument(source, call, "lr", 1)
    new: list[str] = []
    if lr is None:
        new.append(f"lr={rate}")
    elif shown.note.get("was") != shown.note.get("lr"):
        pieces.append(source.replaced(literal(source, lr.value, "lr"), rate))
    pieces += [removed(source, call, arg) for place, arg in enumerate(call.args) if not _stays(arg, place)]
    if shown.note.get("momentum"):
        new.append(f"momentum={written(shown.number('momentum'))}")
    if shown.note.get("nesterov"):
        new.append("nesterov=True")
    decay = DECAY.get(made.kind, 0.0)
    if decay != DECAY.get(kind, 0.0) and argument(source, call, "weight_decay") is None:
        new.append(f"weight_decay={written(decay)}")  # it keeps its number
    return [*pieces, *(added(source, call, text) for text in new)]


def _stays(arg: cst.Arg, place: int) -> bool:
    return arg.keyword.value in KEPT if arg.keyword is not None else place < len(("params", "lr"))
