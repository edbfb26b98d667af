"""Another `batch_size` in the call that makes the training loader."""

from __future__ import annotations

from advisor.patching.arguments import added, argument
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.literals import literal
from advisor.patching.source import Replacement, Source

POSITION = 1  # of batch_size among the arguments of a DataLoader


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """The size that the run had."""
    made = shown.sites.train
    call = source.call(made.site if made is not None else None, "the training loader")
    if made is not None and made.objects > 1:
        raise Declined(f"line {made.site.line} makes {made.objects} loaders")
    size = str(int(shown.number("after")))
    given = argument(source, call, "batch_size", POSITION)
    if given is None:
        return [added(source, call, f"batch_size={size}")]
    return [source.replaced(literal(source, given.value, "batch_size"), size)]
