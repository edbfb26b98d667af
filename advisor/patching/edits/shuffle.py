"""`shuffle=True` is one word in the call that makes the loader, and cannot be proven: torch then draws other orders."""

from __future__ import annotations

from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.source import Replacement, Source


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """Always Declined, with the line where the user may write it."""
    made = shown.sites.train
    call = source.call(made.site if made is not None else None, "the training loader")
    raise Declined(
        f"write shuffle=True at line {source.line(call)} yourself: torch then draws other orders than the plan, so the "
        "losses cannot be the same"
    )
