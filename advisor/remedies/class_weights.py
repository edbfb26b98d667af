"""Weighs the training loss by how rare each class is, so that a rare class is worth learning.

## What it does
Gives cross_entropy and nll_loss a `weight`, a binary cross entropy a `pos_weight`: the inverse of the class's share in
the training data, to the power of `power`, on average 1 over the samples. Only in training: the validation loss stays
what it was. Shares are those given by `counts`, else those of the labels in the data set.

## When it helps
class_imbalance: a rare class that the model has learnt and does not name. Accuracy may fall while balanced accuracy
rises, since rare classes are named more often than they occur.

## When it hurts
Where mistakes cost the same whatever the class. A handful of samples with a hundredfold weight is learnt by heart;
`power` 0.5 weighs more gently. Probabilities are no longer those of the data.

## Cost
None.

## References
King, Zeng: Logistic Regression in Rare Events Data. Political Analysis 9 (2001) 137-163 (weighting by class shares).
Buda et al.: A systematic study of the class imbalance problem in convolutional neural networks. Neural Networks 106
(2018), arXiv 1710.05381.
Mikolov et al.: Distributed Representations of Words and Phrases. NIPS 26 (2013), arXiv 1310.4546 (the square root of a
frequency, between nothing and full balance).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.loss_changes import LossArguments
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._labels import labels_of
from advisor.remedies._loss_calls import (
    BINARY,
    CLASSES,
    calls_changed,
    change_calls,
    in_training,
    loss_may_be,
    refuse_other,
)

CHANGES = frozenset({"class_balance"})
UNEVEN = 2.0  # most frequent over rarest: below, weights hardly differ (a convention)


class Parameters(_Parameters):
    """power: 1 for full balance, 0 for none;  counts: how often each class occurs, where the data set need not tell."""

    power: float = Field(default=1.0, gt=0.0, le=1.0)
    counts: tuple[int, ...] | None = None


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """Full balance, and half of the way to it, where classes are uneven."""
    if not loss_may_be(evidence, CLASSES | BINARY):
        return []
    counts = counted(evidence)
    fired = any(finding.rule == "class_imbalance" for finding in diagnosis.findings)
    if not fired and (counts is None or max(counts) < UNEVEN * max(1.0, min(counts))):
        return []
    return [Parameters(power=power, counts=counts) for power in (1.0, 0.5)]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where no labels can be read, or the loss takes no weights or has some."""
    refuse_other(session, "class_weights", CLASSES | BINARY)
    if any(isinstance(getattr(session.loss_fn, name, None), Tensor) for name in ("weight", "pos_weight")):
        raise CannotApply("the loss has weights already", context="class_weights")
    counts: Sequence[float] | None = parameters.counts
    if counts is None:
        _, labels = labels_of(session, "class_weights", every=False)
        counts = labels.bincount().tolist()
    weights = weights_of(counts, parameters.power)
    if len(weights) < 2 or max(weights) == min(weights):
        raise CannotApply("all classes are equally frequent", context="class_weights")
    change = _Weigh(session, weights)
    change_calls(session, "class_weights", change, {"weights": [float(f"{weight:.4g}") for weight in weights]})


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any weights leave the same fact
    """Whether a loss was weighted."""
    return calls_changed(record, "class_weights")


def counted(evidence: Evidence) -> tuple[int, ...] | None:
    """How often each class reached the loss; None where not all are known."""
    try:
        table = evidence.table("label_counts")
    except Missing:
        return None
    counts = table.get("count")
    numbers = [round(n) for n in counts if isinstance(n, int | float)] if isinstance(counts, list) else []
    whole = "names" not in table and isinstance(counts, list) and len(numbers) == len(counts) > 1
    return tuple(numbers) if whole else None


def weights_of(counts: Sequence[float], power: float) -> list[float]:
    """Of each class, on average 1 over the samples; 1 for one that does not occur."""
    total = sum(counts)
    raw = [(total / count) ** power if count else 0.0 for count in counts]
    mean = sum(weight * count for weight, count in zip(raw, counts, strict=True)) / total
    return [weight / mean if weight else 1.0 for weight in raw]


class _Weigh:
    """A call of a training loss -> the same with weights."""

    def __init__(self, session: Session, weights: list[float]) -> None:
        self._session, self._weights = session, weights
        self._ready: dict[tuple[torch.device, torch.dtype, int], Tensor] = {}  # a copy to the device waits for it

    def __call__(self, call: LossArguments) -> LossArguments:
        output, target = call.output, call.target
        if output is None or target is None or not in_training(self._session):
            return call
        if call.given.get("weight") is not None or call.given.get("pos_weight") is not None:
            return call
        if call.name in CLASSES:
            classes = output.shape[1 if output.dim() > 1 else 0]
            return call.replace(weight=self._on(output, classes)) if classes >= len(self._weights) else call
        if call.name not in BINARY or len(self._weights) != 2 or output.numel() != len(output):
            return call
        if call.name == "binary_cross_entropy_with_logits":
            return call.replace(pos_weight=self._on(output, 2)[1] / self._on(output, 2)[0])
        negative, positive = self._on(output, 2)
        return call.replace(weight=torch.where(target > 0.5, positive / negative, 1.0))

    def _on(self, output: Tensor, classes: int) -> Tensor:
        """(classes,) weights beside an output."""
        key = output.device, output.dtype, classes
        if key not in self._ready:
            ones = [1.0] * (classes - len(self._weights))
            self._ready[key] = torch.tensor([*self._weights, *ones], dtype=output.dtype, device=output.device)
        return self._ready[key]
