"""dead_units, saturated_units and activation_std per layer, on the clean pass over the fixed training samples.

What leaves a layer is read where it enters the next one, so that functional activations are seen as well. A unit is a
channel of a convolution or a feature of a linear layer. A unit is dead when it is 0 for every sample (below 1e-5:
TheDeepChecker, Ben Braiek & Khomh 2023); saturated when 95 % of what it gives lies in the outer twentieth of a bounded
activation's range.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from advisor.instruments import Live, LossCall

DEAD_BELOW = 1e-5  # TheDeepChecker's bound for an inactive unit
OUTER = 0.95  # of the range of tanh (and, rescaled, of sigmoid): the gradient there is below 0.1 of its maximum
MOSTLY = 0.95  # share of samples: a unit that still moves for one in twenty can learn


class Activations:
    """Reads the inputs of layers that the clean pass handed over: (layer index, tensor) in order of execution."""

    def clean(self, live: Live, _: Sequence[LossCall], inputs: Sequence[Sequence[tuple[int, Tensor]]]) -> None:
        axis = tuple(layer.name for layer in live.layers)
        if not inputs or not axis:
            return
        flows = _by_producer(inputs)
        if not flows:
            return
        nan = torch.full((), float("nan"), device=live.device)
        table = {name: [nan] * len(axis) for name in ("dead_units", "saturated_units", "activation_std")}
        for producer, tensors in flows.items():
            units = [_units(tensor) for tensor in tensors]
            if len({u.shape[1] for u in units}) != 1:
                continue
            values = torch.cat(units)
            table["dead_units"][producer] = (values.abs().amax(0) < DEAD_BELOW).float().mean()
            table["saturated_units"][producer] = _saturated(values)
            table["activation_std"][producer] = values.std()
        for name, columns in table.items():
            live.emit(name, "clean_train", torch.stack([c.to(live.device) for c in columns]), axis)


def _by_producer(inputs: Sequence[Sequence[tuple[int, Tensor]]]) -> dict[int, list[Tensor]]:
    """What entered a layer, filed under the layer that ran before it."""
    flows: dict[int, list[Tensor]] = {}
    for batch in inputs:
        for (producer, _), (_, tensor) in pairwise(batch):
            flows.setdefault(producer, []).append(tensor)
    return flows


def _units(tensor: Tensor) -> Tensor:
    """(samples and positions, units) from (N, F), (N, C, …) or (N, T, F): float32."""
    tensor = tensor.detach().float()
    if tensor.dim() >= 4:  # images: channels are second
        tensor = tensor.movedim(1, -1)
    return tensor.reshape(-1, tensor.shape[-1])


def _saturated(values: Tensor) -> Tensor:
    """Share of units that sit at the ends of [-1, 1] or [0, 1]; 0 where the values are not bounded so."""
    bounded = (values.abs().amax() <= 1.0) & (values.abs().amax() > OUTER)
    low = torch.where(values.amin() < 0, -1.0, 0.0)
    centred = (values - low) / (1.0 - low) * 2 - 1  # to [-1, 1]
    outer = ((centred.abs() > OUTER).float().mean(0) >= MOSTLY).float().mean()
    return torch.where(bounded, outer, torch.zeros_like(outer))


instrument = Activations
