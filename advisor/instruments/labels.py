"""Class labels: how often each is learnt, how well each is recognised, and how well batches mix them.

For one label a sample (multiclass), one column (binary), or for numbers (regression):

    batch_mixing           fact of the first epochs: 1 where batches are as mixed as random ones of their size, 0 where
                           each holds one class (entropy of a batch over what random batches have), or where the
                           targets of a batch are all alike (variance within batches over what random batches have)
    label_counts           fact: how often each class was learnt in what was read of the first epochs, and its `weight`
                           where the loss has one for each; absent where a part of sorted data was read
    val_balanced_accuracy  series an epoch: mean of the classes' recalls
    val_classes            fact of the last epoch, a list a class: count, recall, predicted (how often it was said),
                           separation (how far its score is higher for its own samples than for others, in standard
                           deviations); `names` says which classes, where there are too many for all
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from advisor.class_balance import ARGUMENTS
from advisor.instruments import HeardLoss, Live, LossCall
from advisor.instruments._leaves import target_of
from advisor.instruments._mixing import mixing_of_classes, mixing_of_values
from advisor.losses import PROBABILITIES
from advisor.record import Json
from advisor.sampling import EPOCHS_READ

MOST_CLASSES = 1000  # a table of more is no longer small beside the batch
MOST_LISTED = 100  # classes in a fact: beyond, the rarest
MOST_BATCHES = 2000  # of an epoch whose targets are kept
PACKED = 2**18  # numbers of validation outputs that wait to be summed up: a megabyte
NEARLY, MIXED = 0.95, 0.8  # of the samples, or of what random batches mix: the counts then stand for the whole
PROVEN = 8  # batches whose target is compared with the loss's: it is the loss's own, or it is not

Values = NDArray[np.float64]


class Labels:
    """Targets of the first epochs' batches, and sums over an epoch's validation; one copy of each an epoch.

    A batch's own target counts where it is what the loss is computed with; else only the losses of sampled steps do.
    """

    def __init__(self) -> None:
        self._batches: list[Tensor] = []
        self._losses: list[Tensor] = []
        self._equal: list[Tensor] = []  # whether a batch's target was the loss's, in the first steps
        self._classes = 0
        self._weights: dict[str, Tensor] = {}  # of the classes, by the loss that got them last
        self._table: list[Values] = []  # (batches, classes) counts, or (batches, 3) size, mean, variance of numbers
        self._pending: list[tuple[Tensor, Tensor]] = []  # (output, target) of validation
        self._waiting = 0  # numbers in them
        self._val: Tensor | None = None  # (7, C): see `_validated`

    def train_batch(self, live: Live, batch: Any) -> None:
        target = target_of(batch)
        if live.epoch < EPOCHS_READ and target is not None and _is_column(target) and len(self._batches) < MOST_BATCHES:
            self._batches.append(target.detach().reshape(-1))

    def loss_called(self, live: Live, heard: HeardLoss) -> None:
        given = heard.given.get(ARGUMENTS.get(heard.name, ""))
        if live.epoch < EPOCHS_READ and isinstance(given, Tensor):
            self._weights[heard.name] = given.detach().reshape(-1)

    def step_loss(self, live: Live, call: LossCall) -> None:
        if live.epoch >= EPOCHS_READ or call.target is None or not _is_column(call.target):
            return
        self._classes = self._classes or _classes(live, call)
        target = call.target.detach().reshape(-1)
        if self._batches and len(self._equal) < PROVEN and self._batches[-1].shape == target.shape:
            self._equal.append((self._batches[-1].to(target.device) == target).all())
        self._losses.append(target)

    def validation(self, live: Live, call: LossCall) -> None:
        classes = _classes(live, call)
        if classes and call.output is not None and call.target is not None:
            self._pending.append((call.output.detach(), call.target.detach()))
            self._waiting += call.output.numel()
            if self._waiting > PACKED:
                self._pack(live)

    def epoch_end(self, live: Live) -> None:
        if live.epoch < EPOCHS_READ and (self._classes or live.task == "regression"):
            same = bool(self._equal) and bool(torch.stack(self._equal).all())
            parts = [part for part in (self._batches if same else self._losses) if part.numel()]
            rows = [_counted(_labels(live, p), self._classes) if self._classes else _described(p) for p in parts]
            if rows:
                self._table.append(torch.stack([row.double() for row in rows]).cpu().numpy())
            self._end_training(live)
        self._batches, self._losses = [], []
        self._pack(live)
        if self._val is not None:
            self._end_validation(live, self._val.double().cpu().numpy())
        self._val = None

    def _pack(self, live: Live) -> None:
        """Sum up what waits: many small batches at once cost what one does."""
        pending, self._pending, self._waiting = self._pending, [], 0
        if not pending or len({output.shape[1:] for output, _ in pending}) != 1:
            return
        output, target = (torch.cat(part) for part in zip(*pending, strict=True))
        classes = output.shape[1] if live.task == "multiclass" else 2
        sums = _validated(_scores(live, output), _labels(live, target), classes)
        self._val = sums if self._val is None or self._val.shape != sums.shape else self._val + sums

    def _end_training(self, live: Live) -> None:
        if not self._table:
            return
        table = np.concatenate(self._table)
        mixing = mixing_of_classes(table) if self._classes else mixing_of_values(table)
        if mixing is not None:
            live.fact("batch_mixing", round(mixing, 4))
        counts: Values = table.sum(0)
        whole = counts.sum() >= NEARLY * live.samples or (mixing is not None and mixing >= MIXED)
        if self._classes and whole:
            live.fact("label_counts", _listed({"count": counts} | self._weighed(live), counts))

    def _weighed(self, live: Live) -> dict[str, Values]:
        """The column of the weights, where the loss has one for each class."""
        given = self._weights.get(live.loss_name)
        weights = np.empty(0) if given is None else given.double().cpu().numpy()
        if live.task == "binary" and len(weights) == 1:
            weights = np.append(1.0, weights)  # of what is no positive
        return {"weight": weights} if len(weights) == self._classes else {}

    def _end_validation(self, live: Live, sums: Values) -> None:
        count, right, said, own, own_squares, all_, all_squares = sums
        there = count > 0
        if not there.any():
            return
        with np.errstate(divide="ignore", invalid="ignore"):
            recall = right / count
            others = count.sum() - count
            mean, other_mean = own / count, (all_ - own) / others
            variance = own_squares / count - mean**2
            other_variance = (all_squares - own_squares) / others - other_mean**2
            separation = (mean - other_mean) / np.sqrt((variance + other_variance) / 2)
        live.emit("val_balanced_accuracy", "val", [float(recall[there].mean())])
        columns = {"count": count, "recall": recall, "predicted": said, "separation": separation}
        live.fact("val_classes", _listed(columns, count))


def _classes(live: Live, call: LossCall) -> int:
    """How many classes a loss with one label a sample chooses from; 0 for any other loss."""
    output, target = call.output, call.target
    if output is None or target is None or not target.numel():
        return 0
    if live.task == "multiclass" and target.dim() == 1 and not target.is_floating_point() and output.dim() == 2:
        return output.shape[1] if 1 < output.shape[1] <= MOST_CLASSES else 0
    return 2 if live.task == "binary" and _is_column(target) and output.numel() == target.numel() else 0


def _labels(live: Live, target: Tensor) -> Tensor:
    """(N,) integers."""
    return (target.detach().reshape(-1) > 0.5).long() if live.task == "binary" else target.detach().long()


def _described(target: Tensor) -> Tensor:
    """(3,) size, mean, variance."""
    variance, mean = torch.var_mean(target.double(), correction=0)
    return torch.stack([torch.full_like(mean, target.numel()), mean, variance])


def _is_column(target: Tensor) -> bool:
    return target.dim() == 1 or (target.dim() == 2 and target.shape[1] == 1)


def _counted(labels: Tensor, classes: int) -> Tensor:
    """(C,) how often each occurs; what is none of them is not counted."""
    slots = torch.where((labels < 0) | (labels >= classes), classes, labels)
    ones = torch.ones_like(slots).float()
    return ones.new_zeros(classes + 1).index_add_(0, slots, ones)[:-1]


def _scores(live: Live, output: Tensor) -> Tensor:
    """(N, C) logarithms of probabilities."""
    if live.task == "multiclass":
        return functional.log_softmax(output.float(), 1)
    column = output.reshape(-1).float()
    if live.loss_name in PROBABILITIES:
        column = torch.logit(column, eps=1e-7)  # float32 tells 1 - 1e-7 from 1
    return functional.logsigmoid(torch.stack([-column, column], 1))


def _validated(scores: Tensor, labels: Tensor, classes: int) -> Tensor:
    """(7, C): count, right, said; sum and sum of squares of a class's score over its own samples, and over all."""
    fine = (labels >= 0) & (labels < classes)
    slots = torch.where(fine, labels, classes)
    predicted = scores.argmax(1)
    own = scores.gather(1, slots.clamp(max=classes - 1)[:, None])[:, 0]
    weights = torch.stack([fine.float(), (fine & (predicted == labels)).float(), own, own**2], 1)
    by_label = weights.new_zeros(classes + 1, 4).index_add_(0, slots, weights)
    said = weights.new_zeros(classes).index_add_(0, predicted, fine.float())
    counted = torch.where(fine[:, None], scores, 0.0)
    count, right, sums, squares = by_label[:-1].unbind(1)
    return torch.stack([count, right, said, sums, squares, counted.sum(0), (counted**2).sum(0)])


def _listed(columns: dict[str, Values], count: Values) -> dict[str, Json]:
    """Columns as lists, of the rarest classes where there are too many; what is no number is None."""
    names = np.sort(np.argsort(count, kind="stable")[:MOST_LISTED])
    table: dict[str, Json] = {
        name: [float(f"{v:.4g}") if np.isfinite(v) else None for v in values[names]] for name, values in columns.items()
    }
    table |= {"classes": len(count), "total": float(count.sum())}
    if len(names) < len(count):
        table["names"] = [int(name) for name in names]
    return table


instrument = Labels
