"""The model's forward passes since the last backward pass -> the one that the loss was computed of.

A step may call its model several times: for two domains, for labelled and unlabelled samples, once a step in time. The
targets of a loss belong to one of these calls, and the graph below the loss knows which.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from advisor.bridging import parts_of
from advisor.losses import LossCall
from advisor.training_losses import MOST_PENDING

MOST_NODES = 500  # of a graph that are walked: between a model and its loss there are a handful, few dozen by hand

Forward = tuple[Any, Any, Any]  # args, kwargs, output


class Forwards:
    """Those of one step, with their graphs: never keep it past the backward pass."""

    def __init__(self) -> None:
        self._heard: deque[Forward] = deque(maxlen=MOST_PENDING)

    def heard(self, args: Any, kwargs: Any, output: Any) -> None:
        self._heard.append((args, kwargs, output))

    def clear(self) -> None:
        self._heard.clear()

    @property
    def last_output(self) -> Any:
        """What the model gave last; None where it was not called."""
        return self._heard[-1][2] if self._heard else None

    def of(self, call: LossCall, pending: Sequence[Any], root: Tensor) -> Forward | None:
        """The pass whose output reached the loss first, going back through its graph; None where that is not known.

        pending: the calls of loss functions, one of which became `call`; root: where the backward pass began
        """
        if len(self._heard) < 2:
            return self._heard[-1] if self._heard else None
        given = (one for item in pending for one in (*item[2], *item[3].values()) if isinstance(one, Tensor))
        start = next((one for one in given if _shares(one, call.handed_output)), root)
        return _nearest(start, self._heard)


def _nearest(value: Tensor, heard: Iterable[Forward]) -> Forward | None:
    """Breadth first from a value back through what it was made of."""
    ends = {id(node): (node, one) for one in heard for node in _nodes(one[2])}
    waiting, seen = deque([value.grad_fn]), list[Any]()  # nodes are kept: an id is theirs as long as they live
    known: set[int] = set()
    while waiting and len(seen) < MOST_NODES:
        node = waiting.popleft()
        if node is None or id(node) in known:
            continue
        if id(node) in ends:
            return ends[id(node)][1]
        known.add(id(node))
        seen.append(node)
        waiting.extend(upper for upper, _ in node.next_functions)
    return None


def _nodes(output: Any) -> list[Any]:
    """Where the tensors of a model's output stand in the graph."""
    parts = [output] if isinstance(output, Tensor) else parts_of(output)
    return [part.grad_fn for part in parts or getattr(output, "__dict__", {}).values() if _made(part)]


def _made(part: Any) -> bool:
    return isinstance(part, Tensor) and part.grad_fn is not None


def _shares(one: Tensor, other: Tensor | None) -> bool:
    """Whether a detached tensor is this one, as it was handed to a loss function."""
    if other is None or one.grad_fn is None or one.shape != other.shape:
        return False
    try:
        return one.data_ptr() == other.data_ptr() and one.stride() == other.stride()
    except RuntimeError:  # no storage of its own: sparse, or inside a transformation
        return False
