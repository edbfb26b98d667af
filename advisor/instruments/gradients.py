"""grad_norm, weight_norm and update_ratio (‖Δw‖ / ‖w‖) per layer, and total_grad_norm, on sampled steps.

Norms are taken by `torch._foreach_norm`, one launch for all parameters of a dtype, after whatever the loop did to the
gradients (clipping, unscaling): they are what the optimizer saw. The update ratio of a large parameter is read from
its first `PART` elements, so that a sampled step copies kilobytes and not the whole model.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer

from advisor.instruments import Live

PART = 2**15  # elements of a parameter: a ratio of two norms over so many is known within 1 %


class Gradients:
    """Norms around an optimizer step."""

    def __init__(self) -> None:
        self._layer_of: dict[int, int] = {}
        self._axis: tuple[str, ...] = ()
        self._before: dict[int, tuple[list[Tensor], tuple[Tensor, ...], Tensor]] = {}
        self._squares: dict[str, Tensor] = {}

    def start(self, live: Live) -> None:
        self._axis = tuple(layer.name for layer in live.layers)
        self._layer_of = {id(p): i for i, layer in enumerate(live.layers) for p in layer.parameters}

    def before_step(self, _: Live, optimizer: Optimizer) -> None:
        parameters = [p for p in _parameters(optimizer) if id(p) in self._layer_of]
        if not parameters:
            return
        index = torch.tensor([self._layer_of[id(p)] for p in parameters], device=parameters[0].device)
        now = [_part(p) for p in parameters]
        self._before[id(optimizer)] = (now, tuple(part.clone() for part in now), index)
        self._add("weight_norm", [p.detach() for p in parameters], index)

    def after_step(self, _: Live, optimizer: Optimizer) -> None:
        kept = self._before.pop(id(optimizer), None)
        if kept is None:
            return
        now, before, index = kept
        self._add("update", torch._foreach_sub(now, before), index)
        self._add("part", before, index)
        learning = [p for p in _parameters(optimizer) if id(p) in self._layer_of and p.grad is not None]
        grads = [p.grad.detach() for p in learning if p.grad is not None and not p.grad.is_sparse]
        if len(grads) == len(learning) and grads:
            where = torch.tensor([self._layer_of[id(p)] for p in learning], device=grads[0].device)
            self._add("grad_norm", grads, where)

    def step_end(self, live: Live) -> None:
        squares, self._squares = self._squares, {}
        self._before.clear()
        for name in ("grad_norm", "weight_norm"):
            if name in squares:
                live.emit(name, "step", squares[name].sqrt(), self._axis)
        if "grad_norm" in squares:
            live.emit("total_grad_norm", "step", squares["grad_norm"].sum().sqrt())
        if "update" in squares:
            ratio = squares["update"].sqrt() / squares["part"].sqrt().clamp_min(torch.finfo(torch.float32).tiny)
            live.emit("update_ratio", "step", ratio, self._axis)

    def _add(self, name: str, tensors: list[Tensor] | tuple[Tensor, ...], index: Tensor) -> None:
        norms = torch.stack([norm.float() for norm in torch._foreach_norm(list(tensors))])
        if name not in self._squares:
            self._squares[name] = norms.new_zeros(len(self._axis))
        self._squares[name].index_add_(0, index, norms**2)


def _part(parameter: Tensor) -> Tensor:
    """A view of the first elements: (at most PART,)."""
    parameter = parameter.detach()
    return parameter.view(-1)[:PART] if parameter.is_contiguous() else parameter


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


instrument = Gradients
