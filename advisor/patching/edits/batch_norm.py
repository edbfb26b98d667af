"""`nn.BatchNorm` in a literal `nn.Sequential` behind the layers that the remedy grafted one to, in the run's sizes."""

from __future__ import annotations

from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.sequential import after, element
from advisor.patching.source import Replacement, Source

NORMS = {"Linear": "BatchNorm1d"} | {
    f"Conv{kind}{dims}d": f"BatchNorm{dims}d" for kind in ("", "Transpose") for dims in (1, 2, 3)
}


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """One for each graft; all of them or none."""
    found = [element(source, shown.sites, layer) for layer in shown.names("layers")]
    pieces = []
    for one in found:
        if one.made.units is None or one.made.kind not in NORMS:
            raise Declined(f"line {one.made.site.line} makes a {one.made.kind}, whose size is not known")
        pieces.append(after(source, one, f"{one.prefix}{NORMS[one.made.kind]}({one.made.units})"))
    return pieces
