"""The root of a backward pass -> the nodes of the autograd graph below it, nearest first, and the leaves they end at.

Nodes and their edges are there as long as somebody holds the root, also after the pass; what they saved is not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from torch import Tensor

LEAF = "AccumulateGrad"  # the node of a tensor that requires a gradient and was not computed


def nodes_below(root: Tensor, most: int) -> Iterator[Any]:
    """The first `most` nodes, breadth first; none where the root was not computed from anything."""
    first = root.grad_fn
    seen = {first}
    waiting = deque([first] if first is not None else [])
    while waiting and most > 0:
        node = waiting.popleft()
        most -= 1
        yield node
        for below, _ in node.next_functions:
            if below is not None and below not in seen:
                seen.add(below)
                waiting.append(below)


def is_leaf(node: Any) -> bool:
    return str(node.name()).endswith(LEAF)
