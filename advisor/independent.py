"""The validation data once more, by us: what a verdict goes by where the loop's own number is in doubt.

In eval mode and without a gradient, batch after batch as the loader's data set gives them, in order. Samples that the
training data hold too are left out. Only runs of `advisor fix` pay for it, as far as its verdicts need it. Series, with
one value an epoch that is measured:

    independent_loss, independent_accuracy (or independent_r2)
    independent_balanced_accuracy       mean of the classes' recalls
    independent_unpadded_accuracy       without targets that have the value of the padding, where one was seen
    val_gap                             how far the score that the loop computes lies from ours
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from advisor.instruments import Live
from advisor.instruments._identity import identities
from advisor.instruments._leaves import inputs_of
from advisor.losses import LossCall
from advisor.metric import GAP, LAST_EPOCHS
from advisor.scores import added, score_from, score_sums

SHARE = 0.1  # of the run's time, where verdicts go by it: a choice; the last epochs are measured in any case
IN_CASE = 0.01  # where they may have to: the first runs of a session, before it is known what judges them
MOST_SAMPLES = 200_000  # of the training data that are looked for: as many as the instrument of samples reads
ROUNDING = 6  # digits of a gap: the loop's number and ours are sums in another order
Evaluate = Callable[[Any], LossCall | None]


class Independent:
    """sequential: a loader -> its data in order, by a loader of our own;  share: of the run's time."""

    def __init__(self, live: Live, sequential: Callable[[DataLoader[Any]], Iterable[Any]], share: float) -> None:
        self._live, self._sequential, self._share = live, sequential, share
        self._spent = self._last = 0.0
        self.measured = -1  # the newest epoch that was
        self._training: Tensor | None = None  # (n,) identities of training samples, sorted

    def due(self, elapsed: float, planned: int | None) -> bool:
        """Whether this epoch is measured. elapsed: s since the run began; planned: its epochs, where that is known."""
        late = planned is not None and self._live.epoch >= planned - LAST_EPOCHS
        return late or self._spent + self._last <= self._share * elapsed

    def measure(self, evaluate: Evaluate) -> None:
        """One pass; the model in eval mode and the fences are the caller's.

        evaluate: a batch -> the loop's loss of it, computed by a forward pass of our own
        """
        live, loader = self._live, self._live.val
        if loader is None or isinstance(loader.dataset, IterableDataset):
            return
        began, self.measured = perf_counter(), live.epoch
        sums = _Sums(live, self._padding())
        leaked = self._leaked()
        for batch in self._sequential(loader):
            call = evaluate(batch)
            if call is not None and call.output is not None and call.target is not None:
                keep = None if leaked is None else ~torch.isin(identities(inputs_of(batch)).to(leaked.device), leaked)
                sums.add(call, keep)
        sums.emit()
        self._last = perf_counter() - began
        self._spent += self._last

    def _leaked(self) -> Tensor | None:
        """(n,) identities of the training samples, where validation was seen to hold some of them."""
        fact = self._live.recorder.facts.get("val_identities")
        shared = fact.get("in_training") if isinstance(fact, dict) else 0
        if not shared or self._live.train is None or isinstance(self._live.train.dataset, IterableDataset):
            return None
        if self._training is None:
            parts, read = [], 0
            for batch in self._sequential(self._live.train):
                parts.append(identities(inputs_of(batch)))
                read += len(parts[-1])
                if read >= MOST_SAMPLES:
                    break
            self._training = torch.unique(torch.cat(parts))
        return self._training

    def _padding(self) -> int | None:
        fact = self._live.recorder.facts.get("sequences")
        ignored = self._live.recorder.facts.get("ignored_target")  # what a plan leaves out of the loss
        value = fact.get("value") if isinstance(fact, dict) else ignored
        return value if isinstance(value, int) else None


class _Sums:
    """What adds up over the batches of a pass."""

    def __init__(self, live: Live, padding: int | None) -> None:
        self._live, self._padding = live, padding
        self._loss, self._samples = 0.0, 0
        self._score: Tensor | None = None
        self._recall: dict[int, tuple[int, int]] = {}  # class -> right, all

    def add(self, call: LossCall, keep: Tensor | None) -> None:
        live, output, target = self._live, call.output, call.target
        assert output is not None  # asked by the caller
        assert target is not None
        if keep is not None and len(keep) == len(output) == len(target):
            output, target = output[keep.to(output.device)], target[keep.to(target.device)]
            if not len(output):
                return
            value = call.again(output, target)
            loss = float(value.float().mean()) if isinstance(value, Tensor) else float("nan")
        else:
            loss = float(call.value)
        self._loss += loss * len(output)
        self._samples += len(output)
        if live.task is None:
            return
        sums = score_sums(live.task, live.loss_name, output, target)
        if sums is not None:
            self._score = added(self._score, sums)
        predicted = _classes(live.task, live.loss_name, output, target)
        if predicted is None:
            return
        labels = target.argmax(1) if target.is_floating_point() and target.dim() > 1 and target.shape[1] > 1 else target
        labels = labels.long().reshape(predicted.shape)
        for label in torch.unique(labels).tolist():
            of = labels == label
            right, total = self._recall.get(label, (0, 0))
            self._recall[label] = (right + int((predicted[of] == label).sum()), total + int(of.sum()))

    def emit(self) -> None:
        live = self._live
        if not self._samples:
            return
        live.emit("independent_loss", "val", [self._loss / self._samples])
        counted = {label: found for label, found in self._recall.items() if label >= 0}
        if counted:
            recalls = [right / total for right, total in counted.values()]
            live.emit("independent_balanced_accuracy", "val", [sum(recalls) / len(recalls)])
        real = [found for label, found in counted.items() if label != self._padding]
        if self._padding is not None and real:
            live.emit("independent_unpadded_accuracy", "val", [sum(r for r, _ in real) / sum(n for _, n in real)])
        if self._score is None or live.task is None:
            return
        score = float(score_from(live.task, self._score))
        name = "r2" if live.task == "regression" else "accuracy"
        live.emit(f"independent_{name}", "val", [score])
        own = live.recorder.buffers.get(f"val_{name}")
        if own is not None and own.rows and own.rows[-1][1] == live.epoch:
            live.emit(GAP, "val", [round(abs(float(own.rows[-1][2][0]) - score), ROUNDING)])


def _classes(task: str, name: str, output: Tensor, target: Tensor) -> Tensor | None:
    """Predicted classes in the shape of the targets; None for what is no classification."""
    if task == "multiclass" and output.dim() > 1:
        predicted = output.argmax(1)
        if predicted.shape != target.shape and target.dim() + 1 == output.dim() and output.shape[:-1] == target.shape:
            predicted = output.argmax(-1)
        return predicted
    if task == "binary" and output.numel() == target.numel():
        return (output > (0.5 if name == "binary_cross_entropy" else 0.0)).long().reshape(-1)
    return None
