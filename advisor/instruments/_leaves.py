"""A batch -> the tensors that are its inputs, and what is its target, as far as its form tells.

A tuple's last element is the target; of a dictionary what is called so. Everything else with a row a sample is input.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

TARGETS = {"label", "labels", "target", "targets", "y"}


def inputs_of(batch: Any) -> list[Tensor]:
    """The input tensors with one row a sample, (N, …) each; [] where the batch has none that can be read."""
    rows = [leaf for leaf in _leaves(_input_part(batch)) if leaf.dim() and leaf.layout is torch.strided]
    return [leaf for leaf in rows if leaf.shape[0] == rows[0].shape[0]]


def target_of(batch: Any) -> Tensor | None:
    """The tensor that a batch is to be learnt by; None where none can be told."""
    if isinstance(batch, Mapping):
        found = next((value for key, value in batch.items() if str(key) in TARGETS), None)
    else:
        found = batch[-1] if isinstance(batch, tuple | list) and len(batch) > 1 else None
    return found if isinstance(found, Tensor) and found.dim() else None


def floating_input(tree: Any) -> Tensor | None:
    """The first tensor of numbers (N, …) in a batch's inputs or in a model's arguments; token numbers are none."""
    for leaf in _leaves(tree):
        if leaf.dim() and leaf.layout is torch.strided and (leaf.is_floating_point() or leaf.dtype is torch.uint8):
            return leaf
    return None


def _input_part(batch: Any) -> Any:
    if isinstance(batch, Mapping):
        return [value for key, value in batch.items() if str(key) not in TARGETS]
    if isinstance(batch, tuple | list) and len(batch) > 1:
        return batch[:-1]
    return batch


def _leaves(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from _leaves(value)
    elif isinstance(tree, tuple | list):
        for value in tree:
            yield from _leaves(value)
