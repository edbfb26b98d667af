"""Layers that a remedy grafted behind others -> the same in a literal `nn.Sequential`."""

from __future__ import annotations

from collections.abc import Mapping

from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.sequential import after, element
from advisor.patching.source import Replacement, Source


def behind(source: Source, shown: Shown, written: Mapping[str, str]) -> list[Replacement]:
    """One for each graft; all of them or none.

    written: by the kind of the layer, what goes behind it: "{}" stands for the number of its units
    """
    found = [element(source, shown.sites, layer) for layer in shown.names("layers")]
    pieces = []
    for one in found:
        if one.made.units is None or one.made.kind not in written:
            raise Declined(f"line {one.made.site.line} makes a {one.made.kind}, whose size is not known")
        pieces.append(after(source, one, one.prefix + written[one.made.kind].format(one.made.units)))
    return pieces
