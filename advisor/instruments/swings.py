"""loss_peak, loss_median and loss_memory of an epoch, from the loss of every step: spikes that its mean hides.

loss_peak    the highest mean over five steps: one hard batch is no spike; thrown off, a model is bad for several
loss_memory  correlation of a step's loss with the next one's: 0 ± 1/√steps where batches alone make the difference
"""

from __future__ import annotations

import torch
from torch import Tensor

from advisor.instruments import Live

WIDTH = 5  # steps: at batches of ten, fifty samples
FEWEST = 10  # steps: of less a correlation is not known to a third


class Swings:
    """Three numbers an epoch."""

    def epoch_end(self, live: Live) -> None:
        losses: Tensor | None = live.losses
        if losses is None or len(losses) < FEWEST:
            return
        losses = losses.double()
        sums = torch.cumsum(losses, 0)
        means = torch.cat([sums[WIDTH - 1 : WIDTH], sums[WIDTH:] - sums[:-WIDTH]]) / WIDTH
        apart = losses - losses.mean()
        live.emit("loss_peak", "train", means.max())
        live.emit("loss_median", "train", losses.median())
        live.emit("loss_memory", "train", (apart[1:] * apart[:-1]).sum() / apart.pow(2).sum().clamp_min(1e-30))


instrument = Swings
