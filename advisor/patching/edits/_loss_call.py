"""The call that computes the training loss, and what it becomes to get an argument that validation must not have.

A loss that is an object, made once and called in training and in validation, gives way to torch's function in the
training loop alone: module and function have the same arguments by the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import libcst as cst

from advisor.patching.arguments import added, argument, callee
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.edits._calls import only_call
from advisor.patching.source import Replacement, Source

MOVING = ("to", "cuda")  # methods of a module that give the module back


@dataclass(frozen=True, slots=True)
class LossCall:
    """call: in the training loop;  function: of torch's;  made: what made the object that is called, if it is one.

    prefix: how the script writes torch's layers where that object is made: "nn."
    """

    call: cst.Call
    function: str
    made: cst.Call | None = None
    prefix: str = ""

    def with_argument(self, source: Source, name: str, text: str) -> list[Replacement]:
        """The same call with one argument of another value; what else an object was made with goes into the call.

        Raises: Declined where that is no constant.
        """
        place = 2 if name == "weight" else None  # of the function; a module has it first
        given = argument(source, self.call, name, place)
        if given is not None:
            return [source.replaced(given.value, text)]
        if self.made is None:
            return [added(source, self.call, f"{name}={text}")]
        old = argument(source, self.made, name, 0 if name == "weight" else None)
        carried = [arg for arg in self.made.args if arg is not old]
        if not all(arg.keyword is not None and _is_constant(arg.value) for arg in carried):
            line, made = source.line(self.made), source.of(self.made)
            raise Declined(f"line {line}: `{made}` has arguments that are no constants by name")
        more = ", ".join((*map(source.of, carried), f"{name}={text}"))
        instead = source.replaced(self.call.func, f"{self.prefix}functional.{self.function}")
        return [instead, added(source, self.call, more)]


def training_loss(source: Source, shown: Shown, functions: Mapping[str, str]) -> LossCall:
    """The one call of a loss in the innermost loop around backward.

    functions: of torch's that count, by the module that calls them

    Raises: Declined where there are none or several.
    """
    watch = source.call(shown.sites.watch, "the watched loop")
    given = argument(source, watch, "loss_fn", 3)
    own = source.of(given.value) if given is not None else None
    backward = only_call(source, shown, "backward")
    loop = next((parent for parent in source.parents(backward) if isinstance(parent, cst.For)), None)
    inside = [call for call in source.all(cst.Call) if any(parent is loop for parent in source.parents(call))]
    made = {call: _made(source, shown, call, own, functions) for call in inside}
    found = [call for call in inside if last_name(call) in functions.values() or made[call] is not None]
    if len(found) != 1:
        raise Declined(f"the loop of line {source.line(backward)} calls its loss at {len(found)} places")
    call, maker = found[0], made[found[0]]
    if maker is None:
        return LossCall(call, last_name(call))
    kind = last_name(maker)
    if kind not in functions:
        raise Declined(f"line {source.line(maker)}: `{source.of(maker)}` is no {' or '.join(functions)}")
    prefix, _ = callee(source, maker, kind)
    if not prefix:
        raise Declined(f"line {source.line(maker)}: `{source.of(maker)}` is imported by itself")
    return LossCall(call, functions[kind], maker, prefix)


def last_name(call: cst.Call) -> str:
    """What is called, without what it is looked up in; "" for what has no name."""
    last = call.func.attr if isinstance(call.func, cst.Attribute) else call.func
    return last.value if isinstance(last, cst.Name) else ""


def _made(
    source: Source, shown: Shown, call: cst.Call, own: str | None, functions: Mapping[str, str]
) -> cst.Call | None:
    """What made the object that is called: the loss that the watched loop was given, or a name that is set once."""
    text = source.of(call.func)
    if last_name(call) in functions.values():
        return None
    if text == own:
        site = shown.sites.loss_fn
        return source.call(site.site if site is not None else None, "the loss")
    assigned = [
        one.value
        for one in source.all(cst.Assign)
        if any(isinstance(target.target, cst.Name) and target.target.value == text for target in one.targets)
    ]
    only = assigned[0] if len(assigned) == 1 else None
    while isinstance(only, cst.Call) and last_name(only) in MOVING and isinstance(only.func, cst.Attribute):
        only = only.func.value
    return only if isinstance(only, cst.Call) and last_name(only) in functions else None


def _is_constant(value: cst.BaseExpression) -> bool:
    if isinstance(value, cst.UnaryOperation):
        return _is_constant(value.expression)
    return isinstance(value, cst.Integer | cst.Float | cst.SimpleString)
