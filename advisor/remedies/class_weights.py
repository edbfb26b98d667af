"""Weighs the training loss by how rare each class is, so that a rare class is worth learning.

## What it does
Gives cross_entropy and nll_loss a `weight`, a binary cross entropy a `pos_weight`: the inverse of the class's share in
the training data, to the power of `power`, on average 1 over the samples. Only in training: the validation loss stays
what it was. Shares are those given by `counts`, else those of the labels in the data set. A loss that has weights keeps
them, unless they rise with the shares, without exception: those are the wrong way round, and are replaced.

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

from advisor.class_balance import ARGUMENTS, UNEVEN, goes_with_counts
from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.loss_changes import LossArguments
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._labels import labels_of
from advisor.remedies._loss_calls import (
    BINARY,
    CLASSES,
    calls_changed,
    change_calls,
    function_of,
    in_training,
    loss_may_be,
    refuse_other,
)

CHANGES = frozenset({"class_balance"})
GIVEN = ("weight", "pos_weight")  # the loop's own, whichever the function takes


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
    """Raises: CannotApply where no labels can be read, or the loss takes no weights or has some that are kept."""
    refuse_other(session, "class_weights", CLASSES | BINARY)
    counts: Sequence[float] | None = parameters.counts
    if counts is None:
        _, labels = labels_of(session, "class_weights", every=False)
        counts = labels.bincount().tolist()
    weights = weights_of(counts, parameters.power)
    if len(weights) < 2 or max(weights) == min(weights):
        raise CannotApply("all classes are equally frequent", context="class_weights")
    change = _Weigh(session, weights, counts)
    given = {name: getattr(session.loss_fn, name, None) for name in GIVEN}
    if not change.may_weigh(LossArguments(function_of(session.loss_fn) or "", given)):
        raise CannotApply("the loss has weights already", context="class_weights")
    change_calls(session, "class_weights", change, change.facts)


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


def is_turned(given: Tensor, counts: Sequence[float]) -> bool:
    """Whether weights, or a single pos_weight, rise with the counts. It waits for the device."""
    listed = given.detach().reshape(-1).tolist()
    return goes_with_counts([1.0, *listed] if len(listed) == 1 else listed, counts)


class _Weigh:
    """A call of a training loss -> the same with weights. facts: the weights that it got, in full."""

    def __init__(self, session: Session, weights: list[float], counts: Sequence[float]) -> None:
        self._session, self._weights, self._counts = session, weights, counts
        self._replaces: dict[tuple[str, torch.Size], bool] = {}  # the loop's own weights, by what the first call showed
        self.facts: dict[str, Json] = {"weights": list(weights)}
        self._ready: dict[tuple[torch.device, torch.dtype, int], Tensor] = {}

    def __call__(self, call: LossArguments) -> LossArguments:
        output, target = call.output, call.target
        if output is None or target is None or not in_training(self._session):
            return call
        if not self.may_weigh(call):
            return call
        if call.name in CLASSES:
            classes = output.shape[1 if output.dim() > 1 else 0]
            if classes < len(self._weights):
                return call
            weights = [*self._weights, *([1.0] * (classes - len(self._weights)))]
            self.facts["weights"] = [*weights]
            return call.replace(weight=self._on(output, weights))
        if call.name not in BINARY or len(self._weights) != 2 or output.numel() != len(output):
            return call
        negative, positive = self._weights
        if call.name == "binary_cross_entropy_with_logits":
            return call.replace(pos_weight=self._on(output, positive / negative))
        return call.replace(weight=torch.where(target > 0.5, positive / negative, 1.0))

    def may_weigh(self, call: LossArguments) -> bool:
        """Whether a call has no weights, or such as are the wrong way round."""
        return all(self._may_replace(call, name) for name in GIVEN)

    def _may_replace(self, call: LossArguments, name: str) -> bool:
        given = call.given.get(name)
        if not isinstance(given, Tensor):
            return given is None
        key = call.name, given.shape
        if key not in self._replaces and not torch.compiler.is_compiling():
            self._replaces[key] = ARGUMENTS.get(call.name) == name and is_turned(given, self._counts)
        return self._replaces.get(key, False)

    def _on(self, output: Tensor, weights: float | list[float]) -> Tensor:
        """() or (C,) weights beside an output, copied there once: a copy to a device waits for it."""
        size = len(weights) if isinstance(weights, list) else 0
        key = output.device, output.dtype, size
        if key not in self._ready:
            self._ready[key] = torch.tensor(weights, dtype=output.dtype, device=output.device)
        return self._ready[key]
