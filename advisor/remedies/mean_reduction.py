"""Divides a training loss that adds up its batch by the number of elements, so that steps do not grow with the batch.

## What it does
Calls of torch's loss functions with `reduction="sum"` are computed with `reduction="mean"` in training. Validation
stays a sum: who adds up batches and divides by the samples at the end does so still.

## When it helps
sum_reduced_loss: the gradient is as many times too long as the batch has elements, for a learning rate that is meant
for the mean.

## When it hurts
Where the learning rate was chosen for the sum, it is too small afterwards. Where the loss is one term of several,
which the sum has balanced, the others outweigh it.

## Cost
None.

## References
Goyal et al.: Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour. arXiv 1706.02677 (the loss is a mean over the
minibatch).
"""

from __future__ import annotations

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.loss_changes import LossArguments
from advisor.loss_inputs import loss_inputs
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._loss_calls import calls_changed, change_calls, in_training

CHANGES = frozenset({"reduction"})


class Parameters(_Parameters):
    """None."""


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:  # noqa: ARG001  the losses show it
    """One, where backward begins at the sum of a single loss function of torch's."""
    try:
        summed = evidence.table("backward_root").get("summed")
        alone = not evidence.has("loss_weights")  # weights are of several terms
        reached = any(one.reduction == "sum" and not one.own for one in loss_inputs(evidence))
    except Missing:
        return []
    return [Parameters()] if isinstance(summed, int) and summed > 1 and alone and reached else []


def apply(session: Session, parameters: Parameters) -> None:  # noqa: ARG001  there are none
    """Raises: CannotApply where the loss is known to add up nothing."""
    reduction = getattr(session.loss_fn, "reduction", "sum")
    if reduction != "sum":
        raise CannotApply(f"the loss has reduction={reduction!r}", context="mean_reduction")

    def change(call: LossArguments) -> LossArguments:
        summed = call.given.get("reduction") == "sum" and in_training(session)
        return call.replace(reduction="mean") if summed else call

    change_calls(session, "mean_reduction", change, {})


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  there are none
    """Whether a sum was divided."""
    return calls_changed(record, "mean_reduction")
