"""Gives every wrong class a small share of each training label, so that the model is not driven to be ever surer.

## What it does
`label_smoothing` of cross_entropy in training: the label gets 1 - s + s/C, each of the C - 1 other classes s/C. An
nll_loss is computed as the cross entropy of the logarithms that it gets, which is the same but for the smoothing.
Validation keeps its labels, and its loss what it was.

## When it helps
Overfitting whose validation loss rises while the accuracy does not. Wrong labels: a single one pulls less.

## When it hurts
Probabilities are pulled towards even ones; a model that underfits learns less still.

## Cost
None.

## References
Szegedy et al.: Rethinking the Inception Architecture for Computer Vision. CVPR 2016, arXiv 1512.00567 (s = 0.1).
Lukasik et al.: Does label smoothing mitigate label noise? ICML 2020, arXiv 2003.02819.
"""

from __future__ import annotations

from pydantic import Field

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.loss_changes import LossArguments
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._loss_calls import CLASSES, calls_changed, change_calls, in_training, loss_may_be, refuse_other

CHANGES = frozenset({"label_smoothing"})
STRONGER = 0.2  # twice the published value, for labels that are wrong in every fifth case


class Parameters(_Parameters):
    """smoothing: the share that is spread over all classes."""

    smoothing: float = Field(default=0.1, gt=0.0, lt=1.0)  # Szegedy et al. 2016


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The published value; twice that too where labels are wrong; none for a model that underfits."""
    fired = {finding.rule for finding in diagnosis.findings}
    if not loss_may_be(evidence, CLASSES) or fired & {"underfitting", "over_regularised"}:
        return []
    return [Parameters(), Parameters(smoothing=STRONGER)] if "label_noise" in fired else [Parameters()]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the loss is known to be none of classes, or is smoothed already."""
    refuse_other(session, "label_smoothing", CLASSES)
    used = getattr(session.loss_fn, "label_smoothing", 0.0)
    if used:
        raise CannotApply(f"the labels are smoothed by {used:g} already", context="label_smoothing")

    def change(call: LossArguments) -> LossArguments:
        plain = call.name in CLASSES and not call.given.get("label_smoothing")
        if not plain or not in_training(session):
            return call
        return call.replace("cross_entropy", label_smoothing=parameters.smoothing)

    change_calls(session, "label_smoothing", change, {"smoothing": parameters.smoothing})


def took_effect(record: Record, parameters: Parameters) -> bool:
    """Whether labels were smoothed by this share."""
    note = record.facts.get("remedy.label_smoothing")
    same = isinstance(note, dict) and note.get("smoothing") == parameters.smoothing
    return same and calls_changed(record, "label_smoothing")
