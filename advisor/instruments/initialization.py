"""initial_scale and units_spread per layer: how the weights began, and whether the units of a layer still are copies.

initial_scale  rms(w) · √fan_in: 0.58 for PyTorch's linear layers, 1 keeps the variance (LeCun), 1.41 is He's; 0: zeros
units_spread   ‖w - mean over units‖ / ‖w‖ with the bias as one more input: 0 where all units are the same. Read at the
               start, after the first epoch and at the end.

Both are NaN for embeddings, normalisation and single units. Of a large layer the first rows are read: kilobytes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from advisor.instruments import Live, LiveLayer

PART = 2**15  # elements of a layer: a root mean square over so many is known within 1 %
TINY = 1e-30  # a norm below it is zero


class Initialization:
    """A few kilobytes of each weight, three times a run."""

    def start(self, live: Live) -> None:
        if live.layers:
            live.emit(
                "initial_scale", "step", torch.stack([_scale_of(x).to(live.device) for x in live.layers]), _axis(live)
            )
            self._spread(live)

    def epoch_end(self, live: Live) -> None:
        if live.epoch == 0 and live.layers:
            self._spread(live)

    def finish(self, live: Live) -> None:
        if live.epoch > 0 and live.layers:
            self._spread(live)

    def _spread(self, live: Live) -> None:
        live.emit(
            "units_spread", "step", torch.stack([_spread_of(x).to(live.device) for x in live.layers]), _axis(live)
        )


def _axis(live: Live) -> tuple[str, ...]:
    return tuple(layer.name for layer in live.layers)


def _weight(layer: LiveLayer) -> Tensor | None:
    """(units, inputs) the first rows of the largest matrix of a layer; None where it has none."""
    if isinstance(layer.module, nn.Embedding | nn.EmbeddingBag):
        return None
    if any(map(is_lazy, layer.parameters)):
        return None
    matrices = [p for p in layer.parameters if p.dim() > 1 and p.is_floating_point() and p.shape[0] > 1]
    if not matrices:
        return None
    rows = max(matrices, key=Tensor.numel).detach().flatten(1)
    return rows[: max(2, PART // max(1, rows.shape[1]))].float()


def _scale_of(layer: LiveLayer) -> Tensor:
    weight = _weight(layer)
    if weight is None or not weight.numel():
        return torch.full((), math.nan)
    return weight.pow(2).mean().sqrt() * math.sqrt(weight.shape[1])


def _spread_of(layer: LiveLayer) -> Tensor:
    weight = _weight(layer)
    if weight is None or not weight.numel():
        return torch.full((), math.nan)
    bias = next((p for p in layer.parameters if p.dim() == 1 and len(p) >= len(weight)), None)
    if bias is not None:
        weight = torch.cat([weight, bias.detach()[: len(weight), None].float()], 1)
    spread: Tensor = (weight - weight.mean(0)).pow(2).sum().sqrt() / weight.pow(2).sum().sqrt().clamp_min(TINY)
    return spread


instrument = Initialization
