"""Who the samples are, in the first two epochs -> how many different ones were seen, and which came back where.

Two tables of facts, of counts and shares only:

    train_identities  data_set: length of the data set, null for a stream; shared: so many of it are validated on;
                      given, read: samples of the first epoch, and those of them that were read; distinct: among those
                      read; copies: share of them that is not alone; again: share of the second epoch's that the first
                      one had, as far as they were read; same_order; sampler, workers, drop_last: of the loader
    val_identities    given, read, again: likewise; in_training: so many of `read` are copies of training samples;
                      same_targets: both epochs have the same ones; change: mean absolute change of the first batch's
                      values from the first epoch to the second, in their standard deviations; stream; tokens; bits: how
                      many bits it takes at most to name a sample, so that chance repeats can be told from copies;
                      shared_indices: of two subsets of one data set
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, Subset

from advisor.instruments import Live, LossCall
from advisor.instruments._identity import bits_of, identities
from advisor.instruments._leaves import inputs_of, target_of
from advisor.record import Json
from advisor.sampling import EPOCHS_READ

MOST_READ = 200_000  # samples of an epoch and a phase: sorting them takes some 20 ms, twice a run
FEWEST_FOUND = 10  # that would be found again if all came back: their share is then known to a third
ROWS, COLUMNS = 256, 256  # from which the bits of a sample are estimated
Numbers = NDArray[np.int64]


class Phase:
    """What was read of one phase in the epoch under way, on the device; and the first two epochs' numbers."""

    def __init__(self) -> None:
        self.waiting: list[Tensor] = []
        self.waiting_targets: list[Tensor] = []
        self.read = 0
        self.epochs: list[Numbers] = []
        self.targets: list[Numbers] = []
        self.given: list[int] = []
        self.first: list[Tensor] = []  # the first batch's values, an epoch each
        self.sample: list[Tensor] = []  # (rows, columns) of bits
        self.tokens = False  # the inputs are whole numbers

    def take(self, batch: Any, *, target: Tensor | None = None) -> None:
        leaves = inputs_of(batch)
        if not leaves or self.read >= MOST_READ or not leaves[0].numel():
            return
        self.waiting.append(identities(leaves))
        self.tokens = not any(leaf.is_floating_point() or leaf.dtype is torch.uint8 for leaf in leaves)
        if target is not None and target.shape[0] == leaves[0].shape[0]:
            self.waiting_targets.append(identities([target]))
        if self.read < ROWS and not self.epochs:
            self.sample.append(bits_of(leaves[0])[:ROWS, :COLUMNS].clone())
        if target is not None and not self.read and leaves[0].is_floating_point():
            self.first.append(leaves[0].detach().reshape(len(leaves[0]), -1)[:ROWS, :COLUMNS].float().clone())
        self.read += len(leaves[0])

    def end(self, given: int) -> None:
        """The epoch is over: bring its numbers over."""
        self.epochs.append(_brought(self.waiting))
        self.targets.append(_brought(self.waiting_targets))
        self.given.append(max(given, self.read))
        self.waiting, self.waiting_targets, self.read = [], [], 0

    def again(self) -> float | None:
        """Share of the second epoch's samples that the first one had, of those that could have been found again.

        None where so little was read that a few would be found at most.
        """
        if len(self.epochs) < 2 or not len(self.epochs[1]):
            return None
        first, second = self.epochs[:2]
        part = len(first) / self.given[0]
        found = float(np.isin(second, first).mean())
        return min(1.0, found / part) if found == 1.0 or part * len(second) >= FEWEST_FOUND else None


class Samples:
    """`train_identities` and `val_identities`."""

    def __init__(self) -> None:
        self._train, self._val = Phase(), Phase()
        self._validated = 0
        self._val_loader: DataLoader[Any] | None = None

    def train_batch(self, live: Live, batch: Any) -> None:
        if live.epoch < EPOCHS_READ:
            self._train.take(batch)

    def val_batch(self, live: Live, batch: Any) -> None:
        if live.epoch < EPOCHS_READ:
            self._val_loader = live.val if live.own_pass else live.loader
            self._val.take(batch, target=target_of(batch))

    def validation(self, _: Live, call: LossCall) -> None:
        self._validated += call.size

    def epoch_end(self, live: Live) -> None:
        if live.epoch >= EPOCHS_READ:
            return
        self._train.end(live.samples)
        self._val.end(self._validated)
        self._validated = 0
        if len(self._train.epochs[0]):
            live.fact("train_identities", self._of_training(live))
        if len(self._val.epochs[0]) and len(self._train.epochs[0]):
            live.fact("val_identities", self._of_validation(live))

    def _of_training(self, live: Live) -> Json:
        train, loader = self._train, live.train
        first = train.epochs[0]
        _, index, counts = np.unique(first, return_inverse=True, return_counts=True)
        second = train.epochs[1] if len(train.epochs) > 1 else np.empty(0, np.int64)
        head = min(len(first), len(second))
        return {
            "data_set": _length(loader),
            "shared": self._validated_of(loader),
            "given": train.given[0],
            "read": len(first),
            "distinct": len(counts),
            "copies": float((counts[index] > 1).mean()),
            "again": train.again(),
            "same_order": bool((first[:head] == second[:head]).all()) if head else None,
            "sampler": type(loader.sampler).__name__ if loader is not None else None,
            "workers": loader.num_workers if loader is not None else None,
            "drop_last": loader.drop_last if loader is not None else None,
        }

    def _of_validation(self, live: Live) -> Json:
        val = self._val
        seen = np.concatenate(self._train.epochs)
        dataset = self._val_loader.dataset if self._val_loader is not None else None
        return {
            "given": val.given[0],
            "read": len(val.epochs[0]),
            "in_training": int(np.isin(val.epochs[0], seen).sum()),
            "again": val.again(),
            "same_targets": _same(val.targets),
            "change": _change(val.first),
            "stream": isinstance(dataset, IterableDataset),
            "tokens": val.tokens,
            "bits": _bits(val.sample),
            "shared_indices": _shared_indices(live.train, self._val_loader),
        }

    def _validated_of(self, train: DataLoader[Any] | None) -> int:
        """How many of the training loader's data set are validated on: two samplers may share one data set."""
        val = self._val_loader
        return self._val.given[0] if train is not None and val is not None and train.dataset is val.dataset else 0


def _brought(parts: list[Tensor]) -> Numbers:
    """(n,) on the host."""
    return torch.cat(parts).cpu().numpy() if parts else np.empty(0, np.int64)


def _same(targets: list[Numbers]) -> bool | None:
    """Whether two epochs have the same targets: in the same order as far as both were read, or as a set."""
    if len(targets) < 2 or not len(targets[0]) or not len(targets[1]):
        return None
    one, other = targets[:2]
    head = min(len(one), len(other))
    return bool((one[:head] == other[:head]).all()) or np.array_equal(np.sort(one), np.sort(other))


def _length(loader: DataLoader[Any] | None) -> int | None:
    try:
        return len(loader.dataset) if loader is not None else None  # type: ignore[arg-type]  # a stream has no length
    except (TypeError, NotImplementedError):
        return None


def _change(first: list[Tensor]) -> float | None:
    if len(first) < 2 or first[0].shape != first[1].shape:
        return None
    spread = float(first[0].std())
    return float((first[1] - first[0]).abs().mean()) / spread if spread > 0 else None


def _bits(sample: list[Tensor]) -> float | None:
    """Sum over the columns of -log2 of the chance that two rows agree there; chance repeats need few bits.

    An upper bound of what a whole row has, since columns depend on each other.
    """
    if not sample or len({part.shape[1] for part in sample}) != 1:
        return None
    table = torch.cat(sample)[:ROWS].cpu().numpy()
    total = 0.0
    for column in table.T:
        counts = np.unique(column, return_counts=True)[1]
        total -= float(np.log2(((counts / len(column)) ** 2).sum()))
    return total


def _shared_indices(train: DataLoader[Any] | None, val: DataLoader[Any] | None) -> int | None:
    """How many indices two subsets of one data set have in common; None where they are no such subsets."""
    one, other = (loader.dataset if loader is not None else None for loader in (train, val))
    if not isinstance(one, Subset) or not isinstance(other, Subset) or one.dataset is not other.dataset:
        return None
    return len(set(map(int, one.indices)) & set(map(int, other.indices)))


instrument = Samples
