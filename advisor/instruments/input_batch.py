"""input_batch: what a training batch looks like as its loader gives it: shapes and types, no values.

shape, dtype                the first tensor of numbers (N, …): floating, or bytes; where there is none, the first of
                            whole numbers
target_shape, target_dtype  None where the batch's form does not tell its target
"""

from __future__ import annotations

from typing import Any

from advisor.instruments import Live
from advisor.instruments._leaves import floating_input, inputs_of, target_of


class InputBatch:
    """The first batch only."""

    def __init__(self) -> None:
        self._known = False

    def train_batch(self, live: Live, batch: Any) -> None:
        if self._known:
            return
        inputs = inputs_of(batch)
        leaf = floating_input(inputs)
        leaf = inputs[0] if leaf is None and inputs else leaf
        if leaf is None:
            return
        self._known = True
        target = target_of(batch)
        live.fact(
            "input_batch",
            {
                "shape": list(leaf.shape),
                "dtype": str(leaf.dtype).removeprefix("torch."),
                "target_shape": None if target is None else list(target.shape),
                "target_dtype": None if target is None else str(target.dtype).removeprefix("torch."),
            },
        )


instrument = InputBatch
