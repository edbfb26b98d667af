"""`nn.BatchNorm` in a literal `nn.Sequential` behind the layers that the remedy grafted one to, in the run's sizes."""

from __future__ import annotations

from advisor.patching.edits import Shown
from advisor.patching.edits._grafts import behind
from advisor.patching.source import Replacement, Source

NORMS = {"Linear": "BatchNorm1d({})"} | {
    f"Conv{kind}{dims}d": f"BatchNorm{dims}d({{}})" for kind in ("", "Transpose") for dims in (1, 2, 3)
}


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """One for each graft; all of them or none."""
    return behind(source, shown, NORMS)
