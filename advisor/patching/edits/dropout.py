"""`nn.Dropout` in a literal `nn.Sequential` where the remedy grafted one; or another rate in the script's own."""

from __future__ import annotations

from advisor.patching.arguments import added, argument
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.literals import literal, written
from advisor.patching.sequential import before, element
from advisor.patching.source import Replacement, Source
from advisor.record import Json

KINDS = {"Linear": "Dropout"} | {
    f"Conv{kind}{dims}d": f"Dropout{dims}d" for kind in ("", "Transpose") for dims in (1, 2, 3)
}


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """New layers, or new rates."""
    changed = shown.note.get("changed")
    if isinstance(changed, dict):
        return _rates(source, shown, changed)
    pieces = []
    for layer in shown.names("layers"):
        one = element(source, shown.sites, layer)
        if one.made.kind not in KINDS:
            raise Declined(f"line {one.made.site.line} makes a {one.made.kind}")
        rate = shown.parameters["rate" if one.made.kind == "Linear" else "conv_rate"]
        pieces.append(before(source, one, f"{one.prefix}{KINDS[one.made.kind]}({rate})"))
    return pieces


def _rates(source: Source, shown: Shown, changed: dict[str, Json]) -> list[Replacement]:
    """One piece for each line that makes dropout: all that it makes must get the same rate."""
    pieces: dict[tuple[int, int], Replacement] = {}
    for name, rates in changed.items():
        made = shown.sites.layers.get(name)
        call = source.call(made.site if made is not None else None, name)
        assert made is not None  # mypy: the call was found
        alike = [other for other in changed if shown.sites.layers.get(other) == made and changed[other] == rates]
        if len(alike) != made.objects or not isinstance(rates, list) or not isinstance(rates[-1], int | float):
            raise Declined(f"line {made.site.line} makes {made.objects} layers, which do not all get one rate")
        given, text = argument(source, call, "p", 0), written(rates[-1])
        piece = added(source, call, f"p={text}")
        if given is not None:
            piece = source.replaced(literal(source, given.value, "the rate of dropout"), text)
        pieces[piece.start, piece.end] = piece
    return list(pieces.values())
