"""The loss without `reduction="sum"`, in the call that makes it or in the one that computes it."""

from __future__ import annotations

import libcst as cst

from advisor.patching.arguments import removed
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.source import Replacement, Source


def edit(source: Source, shown: Shown) -> list[Replacement]:  # noqa: ARG001  the source says where
    """The only place that asks for a sum."""
    found = [(call, arg) for call in source.all(cst.Call) for arg in call.args if _asks_for_sum(source, arg)]
    if len(found) != 1:
        raise Declined(f'reduction="sum" stands at {len(found)} places')
    return [removed(source, *found[0])]


def _asks_for_sum(source: Source, arg: cst.Arg) -> bool:
    named = arg.keyword is not None and arg.keyword.value == "reduction"
    return named and source.of(arg.value).strip("'\"") == "sum"
