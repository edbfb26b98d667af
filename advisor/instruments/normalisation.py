"""batch_norm, batch_norm_trains: how many numbers of a sample each batch statistic averages, if any; dropout_rate.

The mean and variance of a channel are taken over samples × positions: a linear layer has one position, an image of
8 × 8 has 64. Which batch size goes with it is the fact `batch_size`.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from advisor.instruments import Live, LossCall


class Normalisation:
    """Shapes and modes only: nothing is computed."""

    def __init__(self) -> None:
        self._known = False

    def start(self, live: Live) -> None:
        rates = [m.p for m in live.model.modules() if isinstance(m, _DropoutNd)]
        live.fact("dropout_rate", float(max(rates, default=0.0)))

    def after_backward(self, live: Live, _: Tensor) -> None:
        if not self._known:
            self._known = True
            live.fact("batch_norm_trains", any(m.training for m in live.model.modules() if isinstance(m, _BatchNorm)))

    def clean(self, live: Live, _: Sequence[LossCall], inputs: Sequence[Sequence[tuple[int, Tensor]]]) -> None:
        if not inputs:
            return
        seen = [
            (x[0, 0].numel(), live.layers[i].name)
            for i, x in inputs[0]
            if isinstance(live.layers[i].module, _BatchNorm)
        ]
        if seen:
            positions, name = min(seen)
            live.fact("batch_norm", {"layer": name, "positions": positions, "layers": len(seen)})


instrument = Normalisation
