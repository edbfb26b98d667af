"""Means and variances of features, batch by batch on the device -> those of all batches together.

A feature is a column of a table, a channel of an image, a variable of a series: (N, F), (N, C, H, W), and of (N, A, B)
the shorter axis of the two. Batches are pooled by their means and variances (Chan et al., 1979), not by sums of
squares, which lose all digits where the mean is much larger than the deviation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MOST_FEATURES = 4096  # beyond, all features are taken as one
MOST_NUMBERS = 2**15  # of a batch: the mean of so many is known to half a hundredth of their deviation

Values = NDArray[np.float64]


@dataclass
class Moments:
    """Rows read, and (F,) means and variances of each batch."""

    rows: int = 0
    sizes: list[int] = field(default_factory=list)
    means: list[Tensor] = field(default_factory=list)
    variances: list[Tensor] = field(default_factory=list)

    def add(self, tensor: Tensor) -> None:
        """(N, …); batches of another number of features than the first are left out."""
        rows, axis = thinned(tensor), feature_axis(tensor)
        variance, mean = torch.var_mean(rows, [d for d in range(rows.dim()) if d != axis], correction=0)
        variance, mean = variance.reshape(-1), mean.reshape(-1)
        if self.means and self.means[0].shape != mean.shape:
            return
        self.rows += tensor.shape[0]
        self.sizes.append(rows.numel() // mean.numel())
        self.means.append(mean)
        self.variances.append(variance)

    def pooled(self) -> tuple[Values, Values] | None:
        """(F,) mean and (F,) standard deviation of all batches that are finite; None without one."""
        if not self.means:
            return None
        means, variances = (torch.stack(part).double().cpu().numpy() for part in (self.means, self.variances))
        fine = np.isfinite(means).all(1) & np.isfinite(variances).all(1)
        if not fine.any():
            return None
        weights = np.array(self.sizes, dtype=np.float64)[fine, None]
        weights /= weights.sum()
        mean: Values = (weights * means[fine]).sum(0)
        variance = (weights * (variances[fine] + (means[fine] - mean) ** 2)).sum(0)
        return mean, np.sqrt(variance)


def thinned(tensor: Tensor) -> Tensor:
    """Evenly spread rows of it in float32, about `MOST_NUMBERS` numbers."""
    return tensor.detach()[:: -(-tensor.numel() // MOST_NUMBERS) or 1].float()


def feature_axis(tensor: Tensor) -> int | None:
    """The axis of the features; None where all numbers are of one feature."""
    if tensor.dim() < 2:
        return None
    axis = 2 if tensor.dim() == 3 and tensor.shape[1] >= tensor.shape[2] else 1
    return axis if tensor.shape[axis] <= MOST_FEATURES else None
