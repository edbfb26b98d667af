"""The model without the activation that it ends in: an element of a literal `nn.Sequential`, or a call around what
`forward` returns; or the loop without the softmax or sigmoid in front of its loss. A sigmoid that is undone at the loss
alone stays, and the loss becomes the one that takes probabilities.
"""

from __future__ import annotations

import libcst as cst

from advisor.patching.arguments import argument, callee, removed
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.sequential import element, parent_of
from advisor.patching.source import Replacement, Source

IN_LOOP = ("softmax", "sigmoid")  # of what the remedy undoes before a loss
PROBABILITIES = {  # takes logits -> takes probabilities, with the same arguments but for pos_weight
    "BCEWithLogitsLoss": "BCELoss",
    "binary_cross_entropy_with_logits": "binary_cross_entropy",
}
MODULES = ("F", "torch", "nn", "functional")  # what a function's name may stand behind; anything else is a tensor


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """The one place; Declined where there are none or several."""
    if shown.parameters.get("at") == "loss":
        return _of_probabilities(source)
    if shown.note.get("where") != "model":
        return [_unwrapped(source, call) for call in _in_loop(source, shown)]
    names = {name.replace("_", "") for name in shown.names("calls")}
    if len(names) != 1:
        raise Declined(f"the model ends in several activations: {', '.join(sorted(names)) or 'none was named'}")
    (name,) = names
    layers = [layer for layer, made in shown.sites.layers.items() if made.kind.lower() == name]
    if layers and parent_of(layers[-1])[1].isdigit():
        found = element(source, shown.sites, layers[-1])
        if found.place != len(found.sequential.args) - 1 or not found.place:
            raise Declined(f"{layers[-1]} is not the last element of its nn.Sequential")
        return [removed(source, found.sequential, found.arg)]
    return [_unwrapped(source, _returned(source, shown, name, layers))]


def _returned(source: Source, shown: Shown, name: str, layers: list[str]) -> cst.Call:
    """The call whose result the forward of the model's class returns."""
    made = shown.sites.layers.get("")
    classes = [node for node in source.all(cst.ClassDef) if made is not None and node.name.value == made.kind]
    functions = [n for c in classes for n in source.all(cst.FunctionDef) if source.scope(n) is c]
    forwards = [function for function in functions if function.name.value == "forward"]
    returns = [n for f in forwards for n in source.all(cst.Return) if source.scope(n) is f]
    value = returns[0].value if len(returns) == 1 else None
    if not isinstance(value, cst.Call) or _last(value) not in (name, *(layer.replace("_", "") for layer in layers)):
        raise Declined(f"no single `return {name}(...)` of the model's forward stands in the script")
    return value


def _of_probabilities(source: Source) -> list[Replacement]:
    """The loss with another name, wherever the script names it."""
    pieces: list[Replacement] = []
    for call in source.all(cst.Call):
        kind = source.of(call.func).rsplit(".", 1)[-1]
        if kind in PROBABILITIES:
            prefix, name = callee(source, call, kind)
            if not prefix or argument(source, call, "pos_weight") is not None:
                why = "has a pos_weight, which no loss of probabilities takes" if prefix else "is imported by itself"
                raise Declined(f"the {kind} of line {source.line(call)} {why}")
            pieces.append(source.replaced(name, PROBABILITIES[kind]))
    return pieces


def _in_loop(source: Source, shown: Shown) -> list[cst.Call]:
    """The softmax or sigmoid in the function that calls backward, and where its text stands again, as in validation."""
    sites = {chain[0] for chain in shown.sites.calls.get("backward", ())}
    backward = [source.call(site, "backward()") for site in sites]
    scopes = [source.scope(call) for call in backward]
    called = [call for call in source.all(cst.Call) if _last(call) in IN_LOOP]
    texts = {source.of(call) for call in called if any(source.scope(call) is scope for scope in scopes)}
    if len(texts) != 1:
        raise Declined(f"the loop calls {len(texts)} different functions of that kind")
    return [call for call in called if source.of(call) in texts]


def _unwrapped(source: Source, call: cst.Call) -> Replacement:
    """What the activation is called on, in its place."""
    function = call.func
    inner: cst.BaseExpression | None = call.args[0].value if call.args and call.args[0].keyword is None else None
    if isinstance(function, cst.Attribute) and source.of(function.value).split(".")[-1] not in (*MODULES, "self"):
        inner = function.value  # x.softmax(1)
    if inner is None:
        raise Declined(f"line {source.line(call)}: `{source.of(call)}`")
    return source.replaced(call, source.of(inner))


def _last(call: cst.Call) -> str:
    """The called name, without underscores."""
    function = call.func
    last = function.attr if isinstance(function, cst.Attribute) else function
    return last.value.replace("_", "") if isinstance(last, cst.Name) else ""
