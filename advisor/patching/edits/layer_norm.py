"""`nn.LayerNorm` in a literal `nn.Sequential` where the remedy grafted one; of one group behind a convolution."""

from __future__ import annotations

from advisor.patching.edits import Shown
from advisor.patching.edits._grafts import behind
from advisor.patching.source import Replacement, Source

NORMS = {"Linear": "LayerNorm({})"} | {
    f"Conv{kind}{dims}d": "GroupNorm(1, {})" for kind in ("", "Transpose") for dims in (1, 2, 3)
}


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """One for each graft; all of them or none."""
    return behind(source, shown, NORMS)
