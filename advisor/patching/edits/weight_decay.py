"""Another `weight_decay` in the call that makes the optimizer; decoupled where the remedy made it so."""

from __future__ import annotations

from advisor.patching.arguments import added, argument
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.literals import literal, written
from advisor.patching.source import Replacement, Source

COUPLED = ("Adam", "NAdam", "RAdam")  # torch adds their decay to the gradient unless told otherwise


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """The decay that the run was given; only where it is one for all param_groups."""
    made = shown.optimizer
    call = source.call(made.site, "the optimizer")
    changed = shown.note.get("changed")
    if not isinstance(changed, list) or len(changed) != 1 or len(_groups(shown)) != 1:
        raise Declined("the optimizer has several param_groups")
    value = written(shown.number("value"))
    given = argument(source, call, "weight_decay")
    if given is not None:
        pieces = [source.replaced(literal(source, given.value, "weight_decay"), value)]
    else:
        pieces = [added(source, call, f"weight_decay={value}")]
    if str(_groups(shown)[0].get("class")) in COUPLED and changed == [[0.0, shown.note["value"]]]:
        if argument(source, call, "decoupled_weight_decay") is not None:
            raise Declined(f"line {source.line(call)} says decoupled_weight_decay itself")
        pieces.append(added(source, call, "decoupled_weight_decay=True"))
    return pieces


def _groups(shown: Shown) -> list[dict[str, object]]:
    found = shown.facts.get("optimizer")
    return [dict(group) for group in found if isinstance(group, dict)] if isinstance(found, list) else []
