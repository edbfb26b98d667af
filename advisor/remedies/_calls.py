"""A model and what it is given -> the activations that one forward pass calls, in their order, and where each stands.

`nn.Softmax`, `F.softmax`, `torch.softmax` and `x.softmax()` are the same call here: torch hands each to a mode once, by
the name of the function, whoever wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from advisor.fence import eager, untouched, unwrapped
from advisor.instruments._graph import differentiable, rearranges
from advisor.remedies import Session
from advisor.remedies._places import FOREIGN, _memory, _moved, _tensors
from advisor.taps import LOSSES

SOFTMAXES = frozenset({"softmax", "log_softmax", "softmin"})
CUTS = frozenset({"clamp", "hardtanh"})
ACTIVATIONS = SOFTMAXES | CUTS | {
    "celu", "elu", "gelu", "hardsigmoid", "hardswish", "leaky_relu", "logsigmoid", "mish", "relu", "relu6", "selu",
    "sigmoid", "silu", "softplus", "softsign", "tanh", "threshold",
}  # fmt: skip
OTHERS = (
    "acos",
    "asin",
    "div",
    "float_power",
    "hypot",
    "log",
    "log10",
    "log2",
    "pow",
    "reciprocal",
    "rsqrt",
    "sqrt",
    "sub",
)
SPELT = {  # where torch has another name for it
    "special_softmax": "softmax",
    "special_log_softmax": "log_softmax",
    "special_expit": "sigmoid",
    "log_sigmoid": "logsigmoid",
    "clip": "clamp",
    "clamp_min": "clamp",
    "clamp_max": "clamp",
    "true_divide": "div",
    "divide": "div",
    "subtract": "sub",
    "arccos": "acos",
    "arcsin": "asin",
    "__rdiv__": "reciprocal",
}
PASSED_ON = "passed on"
NAMES: dict[str, str] = {
    **{name: name for name in (*ACTIVATIONS, *OTHERS)},
    **{f"{name}_": name for name in (*ACTIVATIONS, *OTHERS)},
    **SPELT,
    **{f"{name}_": own for name, own in SPELT.items()},
    # while a loop is watched these are tapped; below a mode torch calls them a second time, which nobody must hear
    **dict.fromkeys((*LOSSES, "backward"), PASSED_ON),
}
GATES = frozenset({"sigmoid", "tanh", "hardsigmoid"}) | SOFTMAXES  # where they multiply what another branch gives
SCALES = re.compile(r"(Add|Div|Log|Mul|Neg|Sub)Backward[0-9]+")  # with a number
DEEPEST = 12  # nodes: between a model's last layer and its output there are a handful

Key = tuple[str, int]  # name and index of a call


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an activation.

    index:  among the calls of that name in a forward pass
    last:   0 for the activation that the model ends in, 1 for one right before it …; None for a hidden one
    behind: what else stands between it and the output: "Mul", "Log" …
    gate:   its result multiplies that of another branch
    shape:  of what it reads;  dim: of a softmax, not negative;  rows: the first axis of what it reads are the samples
    """

    name: str
    index: int
    last: int | None = None
    behind: tuple[str, ...] = ()
    gate: bool = False
    shape: tuple[int, ...] = ()
    dim: int | None = None
    rows: bool = False

    @property
    def key(self) -> Key:
        return self.name, self.index


@dataclass(frozen=True, slots=True)
class Called:
    """A call that is under way.

    name: as in `NAMES`;  function, args, kwargs: as torch handed them over
    """

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def input(self) -> Any:
        return self.args[0] if self.args else self.kwargs.get("input", self.kwargs.get("self"))

    @property
    def in_place(self) -> bool:
        own = self.function.__name__
        flagged = self.kwargs.get("inplace") is True or any(arg is True for arg in self.args[1:])
        return flagged or (own.endswith("_") and not own.endswith("__"))

    def on(self, value: Any) -> Any:
        """The same call on another input."""
        if self.args:
            return self.function(value, *self.args[1:], **self.kwargs)
        name = "input" if "input" in self.kwargs else "self"
        return self.function(**{**self.kwargs, name: value})

    def gives(self, change: Callable[[Tensor], Tensor]) -> Tensor:
        """What another function makes of the input, where the call would have put it."""
        given: Tensor = self.input
        return given.copy_(change(given.clone())) if self.in_place else change(given)


def softmax_dim(called: Called) -> int:
    """The dimension that a softmax runs over, not negative; without one torch takes it from the number of axes."""
    axes: int = called.input.dim()
    dim = called.args[1] if len(called.args) > 1 else called.kwargs.get("dim")
    if dim is None:
        return 0 if axes in (0, 1, 3) else 1  # torch.nn.functional, _get_softmax_dim
    return int(dim) + axes if dim < 0 else int(dim)


def calls_of(session: Session) -> dict[bool, tuple[Call, ...]]:
    """What forward passes in train and in eval mode call, on an example; empty where no such pass can be made."""
    example, root = session.example(), unwrapped(session.model)
    if example is None:
        return {}
    device = next((p.device for p in root.parameters()), torch.device("cpu"))
    inputs = _moved(example[0], device)
    args, kwargs = ((), inputs) if isinstance(inputs, Mapping) else ((inputs,), {})
    if isinstance(inputs, tuple | list):
        args = tuple(inputs)
    found = {mode: calls_in(root, args, kwargs, training=mode) for mode in (True, False)}
    return {mode: calls for mode, calls in found.items() if calls is not None}


def calls_in(
    root: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], *, training: bool | None = None
) -> tuple[Call, ...] | None:
    """One forward pass that leaves nothing behind; None where it raises. training: None for the modes as they are."""
    finder = _Finder(args, kwargs)
    try:
        with eager(), untouched(root), torch.enable_grad():
            for module in root.modules():
                module.training = module.training if training is None else training
            own_args, own_kwargs = tree_map(_copied, (tuple(args), dict(kwargs)))
            with finder:
                # forward itself: whoever hooked the model need not hear of this pass
                returned = root.forward(*own_args, **own_kwargs)
    except FOREIGN:
        return None
    return finder.calls(returned)


class _Finder(TorchFunctionMode):
    """Notes the activations that are called, and what stands between them and the output."""

    def __init__(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        super().__init__()
        first = next(iter(_tensors([*args, *kwargs.values()])), None)
        self._samples = len(first) if first is not None and first.dim() else 0
        self._seen: list[tuple[Call, Tensor]] = []
        self._nodes: list[Any] = []  # of the autograd graph, one a call; held, so that they stay the same objects
        self._counts: dict[str, int] = {}
        self._gates: set[int] = set()

    def __torch_function__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        own = getattr(function, "__name__", "")
        name = NAMES.get(own, "")
        if own in ("mul", "mul_") and len(args) == 2 and all(isinstance(a, Tensor) and a.numel() > 1 for a in args):
            self._gates |= {_memory(tensor) for tensor in args}
        shape = tuple(args[0].shape) if name in ACTIVATIONS and args and isinstance(args[0], Tensor) else ()
        result = untapped(function, name)(*args, **kwargs)
        if name in ACTIVATIONS and isinstance(result, Tensor):
            called = Called(name, function, args, kwargs)
            index = self._counts[name] = self._counts.get(name, -1) + 1
            dim = softmax_dim(called) if name in SOFTMAXES else None
            rows = len(shape) > 1 and shape[0] == self._samples
            self._seen.append((Call(name, index, shape=shape, dim=dim, rows=rows), result))
            self._nodes.append(result.grad_fn)
        return result

    def calls(self, returned: Any) -> tuple[Call, ...]:
        """All of them, once the output is there."""
        places = {id(node): place for place, node in enumerate(self._nodes) if node is not None}
        found = [
            replace(call, gate=call.name in GATES and _memory(result) in self._gates) for call, result in self._seen
        ]
        behind: tuple[str, ...] = ()
        last = 0
        for node in _upwards(main(returned)):
            place = places.get(id(node))
            if place is not None:
                found[place] = replace(found[place], last=last, behind=behind)
                last += 1
            elif SCALES.fullmatch(node.name()):
                behind = (*behind, node.name().rstrip("0123456789").removesuffix("Backward"))
            elif not rearranges(node):
                break
        return tuple(found)


def untapped(function: Any, name: str) -> Any:
    """What computes a call, without those who listen to torch's loss functions and to backward."""
    return getattr(function, "__wrapped__", function) if name is PASSED_ON else function


def main(returned: Any) -> Tensor | None:
    """What a model predicted: its output, `.logits`, `["logits"]`, or the first tensor with a dimension."""
    logits = returned.get("logits") if isinstance(returned, Mapping) else getattr(returned, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    return next((tensor for tensor in _tensors(returned) if tensor.dim()), None)


def _upwards(output: Tensor | None) -> Iterator[Any]:
    """The nodes that an output was computed by, one by one, as far as each was computed from one other."""
    node = output.grad_fn if output is not None else None
    for _ in range(DEEPEST):
        if node is None:
            return
        yield node
        before = differentiable(node)
        node = before[0] if len(before) == 1 else None


def _copied(leaf: Any) -> Any:
    return leaf.detach().clone() if isinstance(leaf, Tensor) else leaf
