"""Parameters that the loss depends on and the model does not know: kept in a plain list or dict of a module of it.

The graph of the first sampled steps says which leaves there are; of those that neither the model nor an optimizer has,
only the ones that a module of the model holds in an attribute count. Others belong to somebody else: another network,
an input that requires a gradient. Facts, at the end of each epoch, tables by attribute such as "hidden[0]":

    hidden_parameters   elements that nobody moves, by the attribute that holds them
    hidden_fresh        of these, the attributes whose weights look as an initialisation left them
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from advisor.instruments import Live
from advisor.instruments._initial import looks_initial
from advisor.instruments._nodes import is_leaf, nodes_below
from advisor.record import Json

STEPS = 3  # whose graphs are read: they are alike, and the first may be an unusual one
MOST_NODES = 10_000  # of a graph: a dozen milliseconds
DEEPEST = 3  # attributes, lists and dicts within each other
MOST_ITEMS = 10_000  # looked at in all
FINGERPRINT = 256  # elements that show whether somebody moves a parameter
OURS = ("_parameters", "_buffers", "_modules")  # nn.Module's own: what is there is known


class Hidden:
    """Reads the graph three times, and the attributes of the model where that found a leaf of nobody's."""

    def __init__(self) -> None:
        self._steps = 0
        self._found: dict[int, tuple[str, nn.Module, Tensor, Tensor]] = {}  # attribute, owner, itself, its beginning

    def after_backward(self, live: Live, root: Tensor) -> None:
        if self._steps >= STEPS:
            return
        self._steps += 1
        known = {id(p) for p in live.model.parameters()}
        known |= {id(p) for o in live.optimizers for group in o.param_groups for p in group["params"]}
        leaves = [node.variable for node in nodes_below(root, MOST_NODES) if is_leaf(node)]
        unknown = {id(leaf) for leaf in leaves if isinstance(leaf, nn.Parameter)} - known - set(self._found)
        if not unknown:
            return
        for name, module, parameter in _held(live.model):
            if id(parameter) in unknown:
                self._found[id(parameter)] = (name, module, parameter, _part(parameter).clone())

    def epoch_end(self, live: Live) -> None:
        unmoved = self._unmoved()
        names = list(dict.fromkeys(name for name, _, _ in unmoved))
        elements: dict[str, Json] = {n: sum(p.numel() for name, _, p in unmoved if name == n) for n in names}
        trained = {name for name, module, parameter in unmoved if not looks_initial(module, [parameter])}
        live.fact("hidden_parameters", elements)
        live.fact("hidden_fresh", [name for name in names if name not in trained])

    def _unmoved(self) -> list[tuple[str, nn.Module, Tensor]]:
        found = list(self._found.values())
        if not found:
            return []
        moved = torch.stack([(_part(now) != before).any() for _, _, now, before in found]).tolist()
        return [(name, owner, now) for (name, owner, now, _), gone in zip(found, moved, strict=True) if not gone]


def _held(model: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    """(attribute, the module it belongs to, parameter) of what modules hold past `nn.Module`'s own registers."""
    waiting: deque[tuple[str, nn.Module, Any, int]] = deque()
    for prefix, module in model.named_modules():
        for key, value in vars(module).items():
            if key not in OURS and not key.endswith("_hooks"):
                waiting.append((f"{prefix}.{key}" if prefix else key, module, value, DEEPEST))
    for _ in range(MOST_ITEMS):
        if not waiting:
            return
        name, owner, value, depth = waiting.popleft()
        if isinstance(value, nn.Parameter):
            yield name, owner, value
        elif isinstance(value, nn.Module):
            for module in value.modules():
                yield from ((name, module, p) for p in module.parameters(recurse=False))
        elif depth:
            waiting.extend((f"{name}{at}", owner, one, depth - 1) for at, one in _items(value))


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """What a list, a dict or an object holds, with how it is reached from there."""
    if isinstance(value, list | tuple):
        yield from ((f"[{index}]", one) for index, one in enumerate(value[:MOST_ITEMS]))
    elif isinstance(value, dict):
        yield from ((f"[{key!r}]", one) for key, one in value.items())
    elif hasattr(value, "__dict__") and not isinstance(value, Tensor | type | FunctionType | ModuleType):
        yield from ((f".{key}", one) for key, one in vars(value).items())


def _part(tensor: Tensor) -> Tensor:
    """(at most FINGERPRINT,) of its first elements."""
    return tensor.detach().reshape(-1)[:FINGERPRINT]


instrument = Hidden
