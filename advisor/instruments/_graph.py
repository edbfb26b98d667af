"""A node of the autograd graph -> what the last operations of a model were and which values they can give.

Reading a node costs nothing and waits for nothing: its name, a few saved numbers and the shape that it gave are there
without a tensor. Operations that only rearrange values (views, casts, copies, indexing) are passed through. What
cannot be read, such as the inside of a compiled region, is unknown and not guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

REARRANGES = re.compile(
    "(Alias|AsStrided|Clone|Diagonal|Expand|Gather|Index|IndexSelect|MaskedSelect|Permute|ReshapeAlias|Select|Slice"
    "|Split|SplitWithSizes|Squeeze|T|Take|ToCopy|Transpose|Unbind|Unfold|Unsqueeze|UnsafeView|View)Backward[0-9]+"
)
NAMES = {  # the operation's name as PyTorch spells the function
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Sigmoid": "sigmoid",
    "LogSigmoid": "logsigmoid",
    "Tanh": "tanh",
    "Relu": "relu",
    "Threshold": "threshold",
    "Hardtanh": "hardtanh",
    "Hardsigmoid": "hardsigmoid",
    "Softplus": "softplus",
    "Elu": "elu",
    "Gelu": "gelu",
    "Silu": "silu",
    "Clamp": "clamp",
    "ClampMin": "clamp",
    "ClampMax": "clamp",
    "Exp": "exp",
    "Abs": "abs",
    "Pow": "pow",
    "Log": "log",
    "Mul": "mul",
    "Div": "div",
    "Neg": "neg",
    "Addmm": "linear",
    "Mm": "linear",
    "Bmm": "linear",
    "Linear": "linear",
    "Convolution": "convolution",
}
FIXED: dict[str, tuple[float, float]] = {  # (infimum, supremum) of the function
    "softmax": (0.0, 1.0),
    "log_softmax": (-math.inf, 0.0),
    "sigmoid": (0.0, 1.0),
    "logsigmoid": (-math.inf, 0.0),
    "hardsigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "softplus": (0.0, math.inf),
    "exp": (0.0, math.inf),
    "abs": (0.0, math.inf),
    "gelu": (-0.17, math.inf),  # the minimum of x Φ(x)
    "silu": (-0.2785, math.inf),  # the minimum of x σ(x)
}
PAIRS = ("SubBackward0", "RsubBackward1", "MulBackward0")  # operations that pair two tensors element by element
DEEPEST = 12  # nodes: between a model's last layer and its loss there are a handful
NEAR = 40  # nodes: of a loss that is written out in a few lines
Range = tuple[float, float]
UNBOUNDED: Range = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Operation:
    """name: as in `NAMES`, else the node's own; dim: of a softmax, not negative; shape: of what it gave, () unknown."""

    name: str
    shape: tuple[int, ...]
    dim: int | None = None


def last_operations(node: Any, most: int = 3) -> list[Operation]:
    """The last operations before a value, the last one first; it ends where a node joins several tensors."""
    found: list[Operation] = []
    for one in _chain(node):
        if not rearranges(one) and differentiable(one):  # a leaf is no operation
            found.append(_operation(one))
            if len(found) == most:
                break
    return found


def bounds(node: Any) -> Range:
    """(lowest, highest) value that the last operations can give whatever their input; infinite where unknown."""
    depth = 0
    while node is not None and rearranges(node) and depth < DEEPEST:
        node, depth = _differentiable(node), depth + 1
    if node is None:
        return UNBOUNDED
    name = _operation(node).name
    if name in FIXED:
        return FIXED[name]
    if name in ("clamp", "hardtanh"):
        low, high = bounds(_differentiable(node))
        return max(low, _limit(node, "min", -math.inf)), min(high, _limit(node, "max", math.inf))
    if name == "threshold":
        limit = getattr(node, "_saved_threshold", None)
        return (0.0, math.inf) if limit == 0 else UNBOUNDED
    if name == "elu":
        alpha, scale = getattr(node, "_saved_alpha", None), getattr(node, "_saved_scale", None)
        if isinstance(alpha, int | float) and isinstance(scale, int | float):
            return -alpha * scale, math.inf
        return UNBOUNDED
    if name == "pow":
        exponent = getattr(node, "_saved_exponent", None)
        return (0.0, math.inf) if isinstance(exponent, int | float) and exponent % 2 == 0 else UNBOUNDED
    if name in ("mul", "div", "neg"):
        factor = -1.0 if name == "neg" else scalar_factor(node)
        if not factor:
            return UNBOUNDED
        ends = sorted(end * factor for end in bounds(_differentiable(node)))
        return ends[0], ends[1]
    return UNBOUNDED


def rearranges(node: Any) -> bool:
    """Whether an operation gives the values that it got, in another order, shape or type."""
    return REARRANGES.fullmatch(node.name()) is not None


def scalar_factor(node: Any) -> float | None:
    """The plain number that a product or a quotient multiplies its only differentiable side with; else None.

    Numbers of Python are kept on the CPU, so that reading one waits for no device.
    """
    name = node.name()
    if name not in ("MulBackward0", "DivBackward0") or len(differentiable(node)) != 1:
        return None
    sides = (getattr(node, side, None) for side in ("_saved_other", "_saved_self"))
    other = next((s for s in sides if isinstance(s, Tensor) and not s.requires_grad), None)
    if other is None or other.dim() or other.device.type != "cpu":
        return None
    number = float(other)
    return number if name == "MulBackward0" else 1.0 / number if number else None


def enlarging_difference(root: Any) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """(shape of the prediction, (N, N)) where a constant is paired so that each prediction meets each target.

    That is a difference, or the product of a likelihood: `target * log(prediction)`. Who wants all pairs writes
    `prediction[:, None]`, which is another node; (N, 1) and (N,) is what is looked for.
    """
    for node in _below(root):
        before = differentiable(node)
        if node.name() not in PAIRS or len(before) != 1 or not differentiable(before[0]):  # not of an input itself
            continue
        shape, own = shape_of(node), shape_of(before[0])
        n = shape[0] if shape else 0
        ways = ((n, 1), (n,), (1, n))
        square = n > 1 and shape == (n, n) and own in ways and (_constant_side(node) or ways[0]) in ways
        if square and before[0].name() != "UnsqueezeBackward0":
            return own, shape
    return None


def _constant_side(node: Any) -> tuple[int, ...] | None:
    """Shape of what a product multiplies its only differentiable side with; None for an operation that saves none."""
    sides = (getattr(node, name, None) for name in ("_saved_other", "_saved_self"))
    return next((tuple(side.shape) for side in sides if isinstance(side, Tensor)), None)


def distance(root: Any) -> tuple[str, Any] | None:
    """("mse_loss" or "l1_loss", node of the prediction) where a value is one, written out by hand.

    A mean or sum, perhaps divided, of squares or absolute values of a difference from a constant.
    """
    node, name = root, ""
    for _ in range(DEEPEST):
        kind = _operation(node).name if node is not None else ""
        before = differentiable(node) if node is not None else []
        if kind in ("Sub", "Rsub") and name and len(before) == 1:
            return name, before[0]
        square = kind == "pow" and getattr(node, "_saved_exponent", None) == 2
        product = kind == "mul" and len(before) == 2 and before[0] is before[1]
        if (square or product) and not name:
            name = "mse_loss"
        elif kind == "abs" and not name:
            name = "l1_loss"
        elif not (kind in ("Mean", "Sum", "div", "mul") or rearranges(node)) or (len(before) != 1):
            return None
        node = before[0]
    return None


def softmaxes_between(root: Any, end: Any) -> list[Operation]:
    """What a loss does to the output that it got, `end`: its softmaxes, the last one first, or their logarithms."""
    found = [_operation(node) for node in _below(root, end)]
    return [one for one in found if one.dim is not None]


def _below(root: Any, end: Any = None) -> Iterator[Any]:
    """The nodes nearest to a root, breadth first; not `end` and what lies before it."""
    waiting, seen = [root], {end}  # the nodes themselves: the id of one that is let go is given to the next
    while waiting and len(seen) < NEAR:
        node = waiting.pop(0)
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        waiting += differentiable(node)


def differentiable(node: Any) -> list[Any]:
    """The nodes whose values it was computed from."""
    return [one for one, _ in node.next_functions if one is not None]


def shape_of(node: Any) -> tuple[int, ...]:
    """Of what the node's operation gave; () for a scalar, and where it is not known."""
    metadata = getattr(node, "_input_metadata", None)
    return tuple(int(size) for size in metadata[0].shape) if metadata else ()


def _chain(node: Any) -> Iterator[Any]:
    for _ in range(DEEPEST):
        if node is None:
            return
        yield node
        node = _differentiable(node)


def _differentiable(node: Any) -> Any:
    """The one node before it; None where there are several or none: a layer's weight makes several."""
    before = differentiable(node)
    return before[0] if len(before) == 1 else None


def _operation(node: Any) -> Operation:
    own = node.name().rstrip("0123456789").removesuffix("Backward")
    name, shape = NAMES.get(own, own), shape_of(node)
    dim = getattr(node, "_saved_dim", None) if name in ("softmax", "log_softmax") else None
    if dim is not None:
        dim = _signed(int(dim))
        dim = dim + len(shape) if dim < 0 and shape else dim
    return Operation(name, shape, dim)


def _signed(number: int) -> int:
    """Negative dimensions are saved as unsigned."""
    return number - 2**64 if number >= 2**63 else number


def _limit(node: Any, end: str, otherwise: float) -> float:
    """Of a clamp or a hardtanh."""
    for name in (f"_saved_{end}", f"_saved_{end}_val"):
        value = getattr(node, name, None)
        if isinstance(value, int | float):
            return float(value)
    return otherwise
