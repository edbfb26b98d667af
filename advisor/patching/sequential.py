"""A layer's name in the model -> its element in a literal `nn.Sequential(...)`, which others may be put beside.

>>> parent_of("net.3"), parent_of("3"), parent_of("fc")
(('net', '3'), ('', '3'), ('', 'fc'))
"""

from __future__ import annotations

from dataclasses import dataclass

import libcst as cst

from advisor.call_sites import CallSites, Made
from advisor.patching.arguments import separator
from advisor.patching.declined import Declined
from advisor.patching.source import Replacement, Source


@dataclass(frozen=True, slots=True)
class Element:
    """An argument of `nn.Sequential(...)`, and what the run knows of the layer.

    prefix: how the script writes torch's layers: "nn.", "torch.nn.", or "" for names imported one by one
    """

    made: Made
    sequential: cst.Call
    arg: cst.Arg
    place: int
    prefix: str


def parent_of(layer: str) -> tuple[str, str]:
    """(name of the module that holds it, its own last name)."""
    parent, _, last = layer.rpartition(".")
    return parent, last


def element(source: Source, sites: CallSites, layer: str) -> Element:
    """Raises: Declined where the layer is no element of a Sequential that the script writes out."""
    parent, last = parent_of(layer)
    holder, made = sites.layers.get(parent), sites.layers.get(layer)
    if holder is None or made is None or holder.kind != "Sequential" or not last.isdigit():
        raise Declined(f"{layer or 'the model'} is no element of an nn.Sequential in the script")
    for one, name in ((holder, parent or "the model"), (made, layer)):
        if one.objects != 1:
            raise Declined(f"line {one.site.line} makes {one.objects} layers, of which {name!r} is one")
    call, own = source.call(holder.site, parent or "the model"), source.call(made.site, layer)
    # Elements may have been put in before: it is the call that counts, and not its number.
    for place, arg in enumerate(call.args):
        if arg.value is own and not arg.star and arg.keyword is None:
            return Element(made, call, arg, place, _prefix(source, own, made.kind))
    raise Declined(f"{layer} is not written out in the nn.Sequential of line {source.line(call)}")


def after(source: Source, found: Element, text: str) -> Replacement:
    """Another layer behind it."""
    end = source.span(found.arg)[1]
    return Replacement(end, end, f"{separator(source, found.sequential)}{text}")


def before(source: Source, found: Element, text: str) -> Replacement:
    """Another layer in front of it."""
    start = source.span(found.arg)[0]
    return Replacement(start, start, f"{text}{separator(source, found.sequential)}")


def _prefix(source: Source, call: cst.Call, kind: str) -> str:
    text = source.of(call.func)
    if not text.endswith(f".{kind}"):
        raise Declined(f"line {source.line(call)} names {kind} without its module, so others would need an import")
    return text.removesuffix(kind)
