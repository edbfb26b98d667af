"""A layer -> whether its parameters look as an initialisation left them, and not as a training does.

An initialisation draws a weight's numbers independently of each other around zero; biases and scales get one constant,
or torch's own default, uniform within ±1/√fan_in. A training moves biases off their constant and over that bound, and
gives a weight directions: singular values beyond the edge √m + √n of independent numbers (Martin and Mahoney, 2021,
https://jmlr.org/papers/v22/20-410.html). When in doubt the answer is no.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

SIDE = 128  # rows and columns of a weight that are read: its largest singular value takes a millisecond
EDGE = 1.1  # times √m + √n; of 300 draws each of 9 shapes, normal and uniform, the largest was 1.09
ERRORS = 4.0  # standard errors that the mean of a weight may be off zero
ROUNDING = 1.001  # float32, or a bound that was computed in float16


def looks_initial(module: nn.Module, parameters: Sequence[Tensor]) -> bool:
    """Whether none of these parameters of a module shows a training. Waits for the device: not for every step."""
    known = [p.detach().float() for p in parameters if not nn.parameter.is_lazy(p)]
    bound = _bound(module)
    return bool(known) and all(_weight(p) if p.dim() > 1 else _rest(p, bound) for p in known)


def _bound(module: nn.Module) -> float:
    """Of torch's default for a bias; 0 where there is no weight to tell it by."""
    if isinstance(module, nn.RNNBase):
        return 1.0 / math.sqrt(module.hidden_size)
    own = [p for p in module.parameters(recurse=False) if not nn.parameter.is_lazy(p)]
    weight = next((p for p in own if p.dim() > 1 and p[0].numel()), None)
    return 0.0 if weight is None else 1.0 / math.sqrt(weight[0].numel())


def _rest(tensor: Tensor, bound: float) -> bool:
    constant = bool((tensor == tensor[:1]).all()) if tensor.dim() else True
    return constant or float(tensor.abs().max()) <= bound * ROUNDING


def _weight(tensor: Tensor) -> bool:
    part = tensor.reshape(tensor.shape[0], -1)[:SIDE, :SIDE]
    if not part.numel() or bool((part == part[0, 0]).all()):
        return True
    deviation = part.std().item()
    if not math.isfinite(deviation) or abs(part.mean().item()) > ERRORS * deviation / math.sqrt(part.numel()):
        return False
    edge = deviation * (math.sqrt(part.shape[0]) + math.sqrt(part.shape[1]))
    return float(torch.linalg.matrix_norm(part, 2)) <= EDGE * edge
