"""A model -> what it is trained by and does not know: layers and tensors in plain lists, tuples and dicts of its parts.

What the model has registered elsewhere is known, and so is a module that contains the model itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from advisor.fence import INTERNAL

DEEPEST = 3  # lists and dicts within each other


@dataclass(frozen=True, slots=True)
class Hidden:
    """name: from the model on, such as `encoder.hidden[0]`; prefix: of its owner; key: `hidden[0]`, below attribute."""

    name: str
    prefix: str
    owner: nn.Module
    attribute: str
    key: str
    value: nn.Module | Tensor

    def parameters(self) -> dict[str, Tensor]:
        """By what follows the name under which it is registered."""
        if isinstance(self.value, Tensor):
            return {"": self.value}
        return {f".{name}": parameter for name, parameter in self.value.named_parameters()}

    def contains(self, model: nn.Module) -> bool:
        return isinstance(self.value, nn.Module) and any(part is model for part in self.value.modules())


def hidden(model: nn.Module, optimized: Collection[int], only: Collection[str] | None = None) -> list[Hidden]:
    """What has a parameter that requires gradients and that neither the model nor an optimizer (by id) has.

    With it comes what has no parameters and is kept beside it: dropout in the same list is switched with the rest.

    only: the names that are looked for; all where None
    """
    known = {id(module) for module in model.modules()}
    taken = {id(p) for p in model.parameters()} | set(optimized)
    unknown = {id(one.value): one for one in _held(model) if id(one.value) not in known and not one.contains(model)}
    chosen: list[Hidden] = []
    for one in unknown.values():
        new = {id(p) for p in one.parameters().values() if p.requires_grad and p.is_leaf} - taken
        if new and (only is None or one.name in only):
            taken |= new
            chosen.append(one)
    attributes = {(id(one.owner), one.attribute) for one in chosen}
    beside = [one for one in unknown.values() if not one.parameters() and (id(one.owner), one.attribute) in attributes]
    return [*chosen, *beside]


def register(one: Hidden) -> dict[str, nn.Parameter]:
    """Make it part of its owner, under a name such as hidden_0; its parameters by their names from the model on."""
    key = re.sub(r"\W+", "_", one.key).strip("_")
    if isinstance(one.value, Tensor) and vars(one.owner).get(one.key) is one.value:
        del vars(one.owner)[one.key]  # the attribute itself: registered, it is found under the same name
    while hasattr(one.owner, key):
        key += "_"
    if isinstance(one.value, nn.Module):
        one.owner.add_module(key, one.value.train(one.owner.training))
    else:
        if not isinstance(one.value, nn.Parameter):
            one.value.__class__ = nn.Parameter  # the same object, as torch does with lazy ones
        one.owner.register_parameter(key, one.value)  # type: ignore[arg-type]  # it is one now
    start = f"{one.prefix}.{key}" if one.prefix else key
    return {f"{start}{rest}": p for rest, p in one.parameters().items() if isinstance(p, nn.Parameter)}


def _held(model: nn.Module) -> Iterator[Hidden]:
    """Everything that parts of the model hold past `nn.Module`'s own registers."""
    for prefix, owner in model.named_modules():
        for attribute, value in vars(owner).items():
            if attribute not in INTERNAL:
                for key, one in _in(attribute, value):
                    yield Hidden(f"{prefix}.{key}" if prefix else key, prefix, owner, attribute, key, one)


def _in(name: str, value: Any, depth: int = DEEPEST) -> Iterator[tuple[str, Any]]:
    """(path, module or tensor) in an attribute; a module that is one itself was hidden with some effort, on purpose."""
    if isinstance(value, Tensor) or (isinstance(value, nn.Module) and depth < DEEPEST):
        yield name, value
    elif depth and isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _in(f"{name}[{index}]", item, depth - 1)
    elif depth and isinstance(value, dict):
        for key, item in value.items():
            yield from _in(f"{name}[{key!r}]", item, depth - 1)
