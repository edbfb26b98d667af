"""The training data, read through the data set and not through the user's loader -> moments of its inputs and targets.

Nothing of the user's moves: neither the loader's place nor its workers, nor a random number. What cannot be read so
(a stream, tensors that the loop slices itself) is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, Subset

from advisor.fence import untouched
from advisor.instruments._leaves import inputs_of
from advisor.remedies import Session

BATCH = 64  # samples read at once where the loader does not say: a convention
MOST_CHANNELS = 4  # of an image as files have them (RGBA); tells (N, H, W, C) from (N, C, H, W)
STILL = 1e-6  # of a feature's size: what varies less is constant up to the rounding of float32 (2⁻²⁴ an element)


def read(session: Session, most: int, see: Callable[[Any], None]) -> bool:
    """Show `see` about `most` training samples, evenly spread, in batches as the loader would make them.

    False where there is nothing that can be read.
    """
    loader: Any = session.train
    if loader is None or isinstance(loader.dataset, IterableDataset):
        return False
    indices = getattr(loader.sampler, "indices", None)  # a loader over a part of a data set
    chosen = [int(i) for i in indices] if indices is not None else range(len(loader.dataset))
    batched = loader.batch_sampler is not None  # else the data set gives whole batches
    kept = max(1, most if batched else most // BATCH)
    spread = [chosen[i * len(chosen) // kept] for i in range(kept)] if len(chosen) > kept else list(chosen)
    ours: DataLoader[Any] = DataLoader(
        Subset(loader.dataset, spread),
        batch_size=(loader.batch_size or BATCH) if batched else None,
        collate_fn=loader.collate_fn,
    )
    with untouched():
        for batch in ours:
            see(batch)
    return bool(spread)


def main_input(batch: Any) -> Tensor | None:
    """The first input of numbers, floating or bytes with the axes of images; None for token numbers."""
    return next((leaf for leaf in inputs_of(batch) if is_numbers(leaf)), None)


def is_numbers(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or (tensor.dtype is torch.uint8 and tensor.dim() > 3)  # with (N, C, H, W)


def feature_axis(x: Tensor, model: nn.Module) -> int | None:
    """The axis of features: columns of (N, F), channels of (N, C, H, W), variables of (N, T, F); None for (N,).

    Of (N, A, B) it is the last one, unless the model begins with a convolution over B.
    """
    if x.dim() < 2:
        return None
    if x.dim() == 3:
        first = next((part for part in model.modules() if isinstance(getattr(part, "weight", None), Tensor)), None)
        return 1 if isinstance(first, nn.Conv1d) else 2
    channels_last = x.dim() == 4 and x.shape[-1] <= MOST_CHANNELS < x.shape[1]
    return x.dim() - 1 if channels_last else 1


@dataclass
class Moments:
    """Count, mean and sum of squared deviations of each feature's finite values, pooled as Chan et al. (1979) do.

    axis: of the features; None where all numbers are one feature. All else is (F,) in float64.
    """

    axis: int | None
    count: Tensor | None = None
    mean: Tensor | None = None
    squares: Tensor | None = None
    rows: int = 0

    def add(self, x: Tensor) -> None:
        """(N, …); a batch with another number of features than the first is left out."""
        values = x.detach().double()
        values = values.reshape(1, -1) if self.axis is None else values.movedim(self.axis, 0).flatten(1)
        finite = values.isfinite()
        values = values.where(finite, 0)
        count = finite.sum(1).double()
        mean = values.sum(1) / count.clamp(min=1)
        squares = ((values - mean[:, None]) * finite).square().sum(1)
        if self.mean is None or self.count is None or self.squares is None:
            self.count, self.mean, self.squares = count, mean, squares
        elif mean.shape == self.mean.shape:
            total = (self.count + count).clamp(min=1)
            away = mean - self.mean
            self.squares = self.squares + squares + away.square() * self.count * count / total
            self.mean = self.mean + away * count / total
            self.count = self.count + count
        self.rows += len(x)

    def spread(self) -> tuple[Tensor, Tensor]:
        """(F,) mean, 0 where no value is finite, and (F,) standard deviation, 1 where a feature is constant."""
        assert self.count is not None  # something was added
        assert self.mean is not None
        assert self.squares is not None
        deviation = (self.squares / self.count.clamp(min=1)).sqrt()
        varies = deviation > STILL * self.mean.abs()
        return self.mean, deviation.where(varies & (deviation > 0), 1)


def along(values: Tensor, axis: int | None, dims: int) -> Tensor:
    """(F,) -> the shape that broadcasts over a tensor of `dims` axes along one of them; () where there is no axis."""
    if axis is None:
        return values.reshape(())
    return values.reshape(-1, *[1] * (dims - 1 - axis))
