"""Whether the graphs of past steps are still there, and how much memory the run takes, at the end of each epoch.

    kept_graphs   of the sampled steps of the epoch, without the last few: how many there were, and how many of their
                  graphs somebody still holds
    memory        bytes: of the process, and of what its tensors take on an accelerator (0 without one)

A node of the autograd graph has a dictionary for whoever debugs it. What we put there lives as long as the node, so
that a weak reference tells whether it is gone. The nodes of leaves are left out: a wrapper for several devices keeps
those.
"""

from __future__ import annotations

import os
from pathlib import Path
from weakref import ReferenceType, ref

import torch
from torch import Tensor

from advisor.instruments import Live
from advisor.instruments._nodes import is_leaf, nodes_below

LAST = 3  # steps whose graphs a loop may well hold: a variable `loss`, a state for the next step, a pipeline
MOST_NODES = 64  # below the loss that are marked: an output, or a state, that is held is among them
MOST_MARKS = 256  # of an epoch
KEY = "advisor"


class Mark:
    """Lives as long as one of the nodes that it was put on."""

    __slots__ = ("__weakref__",)


class Memory:
    """Marks graphs; never holds one."""

    def __init__(self) -> None:
        self._marks: list[tuple[int, ReferenceType[Mark]]] = []  # with its step

    def after_backward(self, live: Live, root: Tensor) -> None:
        mark = Mark()
        for node in nodes_below(root, MOST_NODES):
            if not is_leaf(node):
                node.metadata[KEY] = mark
        self._marks.append((live.step, ref(mark)))
        del self._marks[:-MOST_MARKS]

    def epoch_end(self, live: Live) -> None:
        past = [mark() is not None for step, mark in self._marks if step <= live.step - LAST]
        if past:
            live.emit("kept_graphs", "train", [len(past), sum(past)], ("looked_at", "held"))
        self._marks = []
        on_device = torch.cuda.memory_allocated() if torch.cuda.is_initialized() else 0  # type: ignore[no-untyped-call]
        live.emit("memory", "train", [_resident(), float(on_device)], ("process", "device"))


def _resident() -> float:
    """Bytes of the process; NaN where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return float("nan")
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


instrument = Memory
