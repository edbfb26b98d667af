"""`shuffle=True` in the call that makes the training loader; torch then draws the orders that the plan drew."""

from __future__ import annotations

from advisor.patching.arguments import added, argument
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.source import Replacement, Source

POSITION = 2  # of shuffle among the arguments of a DataLoader


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """Raises: Declined where a sampler is passed, or the call makes other loaders too."""
    made = shown.sites.train
    call = source.call(made.site if made is not None else None, "the training loader")
    if made is not None and made.objects > 1:
        raise Declined(f"line {made.site.line} makes {made.objects} loaders")
    if argument(source, call, "sampler") is not None:
        raise Declined(f"line {source.line(call)} passes a sampler, which decides the order")
    given = argument(source, call, "shuffle", POSITION)
    if given is None:
        return [added(source, call, "shuffle=True")]
    if source.of(given.value) != "False":
        raise Declined(f"line {source.line(call)} decides shuffle by `{source.of(given.value)}`")
    return [source.replaced(given.value, "True")]
