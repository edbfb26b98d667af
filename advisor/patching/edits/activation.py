"""Another activation wherever the script makes or calls a hidden one: `nn.ReLU()`, `F.relu(x)`.

What the model ends in is not among those that the remedy swaps; where it is of the same kind, no proof is found.
"""

from __future__ import annotations

import libcst as cst

from advisor.patching.arguments import callee
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.source import Replacement, Source

MODULES = {  # the remedy's kinds as torch names its modules
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "gelu": "GELU",
    "silu": "SiLU",
    "elu": "ELU",
    "tanh": "Tanh",
}
FUNCTIONAL = ("F.", "nn.functional.", "torch.nn.functional.")  # where every kind is a function of its name


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """One piece for each line that makes an activation, and for each call of one as a function."""
    kind, old = str(shown.parameters["kind"]), shown.names("instead_of")
    pieces = {piece.start: piece for piece in (*_modules(source, shown, kind, old), *_functions(source, kind, old))}
    if not pieces:
        raise Declined(f"no {' or '.join(old) or 'activation'} stands in the script")
    return list(pieces.values())


def _modules(source: Source, shown: Shown, kind: str, old: list[str]) -> list[Replacement]:
    names = {name.replace("_", "") for name in old}
    pieces = []
    for layer, made in shown.sites.layers.items():
        if made.kind.lower() in names:
            call = source.call(made.site, layer)
            prefix, _ = callee(source, call, made.kind)
            if not prefix:
                raise Declined(f"line {source.line(call)} names {made.kind} alone, so another would need an import")
            pieces.append(source.replaced(call, f"{prefix}{MODULES[kind]}()"))
    return pieces


def _functions(source: Source, kind: str, old: list[str]) -> list[Replacement]:
    pieces = []
    for call in source.all(cst.Call):
        last = call.func.attr if isinstance(call.func, cst.Attribute) else call.func
        if not isinstance(last, cst.Name) or last.value not in old:
            continue
        prefix, _ = callee(source, call, last.value)
        if prefix in FUNCTIONAL and len(call.args) == 1:
            pieces.append(source.replaced(last, kind))
        elif prefix != "self.":  # a layer of that name, which was made elsewhere
            raise Declined(f"line {source.line(call)} calls {last.value} as `{source.of(call)}`")
    return pieces
