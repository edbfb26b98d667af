"""A call that the run made -> the only place of the script where it stands."""

from __future__ import annotations

import libcst as cst

from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.source import Source


def only_call(source: Source, shown: Shown, what: str) -> cst.Call:
    """Raises: Declined where there are none or several."""
    places = {chain[0] for chain in shown.sites.calls.get(what, ())}
    if len(places) != 1:
        raise Declined(f"{what}() is called at {len(places)} places")
    return source.call(places.pop(), f"{what}()")
