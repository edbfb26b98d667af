"""linear_joints and joints: between which layers nothing but a linear map lies; read once, in the first clean pass.

What a linear or convolutional layer gives is computed again from what entered it, and compared with what entered the
next layer: where the two are the same numbers, reshaped or not, the two layers are one linear map. Functional
activations, pooling, attention, gates and residuals all change the numbers, and so they all count. Batch
normalisation in eval mode is linear as well. A joint whose width is below both ends is a low-rank factorisation, made
on purpose, and is counted as no linear one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from advisor.instruments import Live, LossCall
from advisor.record import Json

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
SAME = 1e-5  # of the largest value: float32 rounds to 1e-7, and tanh(x) differs from x by as much for |x| = 0.006
SAME_HALF = 2e-2  # likewise where a pass ran in 16 bits: bfloat16 rounds to 4e-3
MOST_NAMED = 20  # joints in the record
ROWS = 8  # of the batch: hundreds of numbers that are all the same are not so by chance


class Nonlinearity:
    """Looks at one batch of the first clean pass."""

    def __init__(self) -> None:
        self._done = False

    def clean(self, live: Live, _: Sequence[LossCall], inputs: Sequence[Sequence[tuple[int, Tensor]]]) -> None:
        if self._done or not inputs:
            return
        self._done = True
        modules = [layer.module for layer in live.layers]
        pairs = list(pairwise(inputs[0]))
        flags = [_same(_output(modules[k], _few(x, y)), _few(y, x)) for (k, x), (_, y) in pairs]
        unchanged = torch.stack([flag.to(live.device) for flag in flags]).tolist() if flags else []
        found: list[Json] = []
        joints = 0
        source: int | None = None
        for ((k, _x), (n, _y)), same in zip(pairs, unchanged, strict=True):
            source = (k if not isinstance(modules[k], _BatchNorm) else source) if same else None
            if isinstance(modules[n], _BatchNorm):
                continue
            joints += 1
            if source is not None and _widens(modules[source], modules[n]):
                found.append([live.layers[source].name, live.layers[n].name])
        live.fact("joints", joints)
        live.fact("linear_joints", found[:MOST_NAMED])


def _few(tensor: Tensor, beside: Tensor) -> Tensor:
    """The first rows, where both tensors have a row a sample; all of it where the rows of one were flattened."""
    return tensor[:ROWS] if len(tensor) == len(beside) else tensor


def _output(module: nn.Module, x: Tensor) -> Tensor | None:
    """What a linear layer makes of x; None for any other."""
    if type(module) in LINEAR:
        output: Tensor = module.forward(x.to(_dtype(module)))
        return output
    if isinstance(module, _BatchNorm) and module.running_mean is not None:
        kept: Any = module
        x = x.to(_dtype(module))
        return functional.batch_norm(x, kept.running_mean, kept.running_var, kept.weight, kept.bias, eps=kept.eps)
    return None


def _dtype(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype


def _same(output: Tensor | None, entered: Tensor) -> Tensor:
    if output is None or output.numel() != entered.numel():
        return torch.zeros((), dtype=torch.bool)
    tolerance = SAME if entered.dtype in (torch.float32, torch.float64) else SAME_HALF
    difference, largest = (output.reshape(-1) - entered.reshape(-1)).abs().amax(), entered.abs().amax()
    return (difference <= tolerance * largest) & (largest > 0)  # zeros stay zeros under any function of the usual ones


def _widens(first: nn.Module, second: nn.Module) -> bool:
    """Whether two linear layers are no low-rank factorisation: as wide between as one of their ends."""
    if type(first) not in LINEAR or type(second) not in LINEAR:
        return False
    into, between = _sizes(first)
    return between >= min(into, _sizes(second)[1])


def _sizes(module: nn.Module) -> tuple[int, int]:
    """(inputs, outputs) of a weight (outputs, inputs, …)."""
    weight: Any = module.weight
    return int(weight.shape[1]), int(weight.shape[0])


instrument = Nonlinearity
