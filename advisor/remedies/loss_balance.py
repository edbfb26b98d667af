"""Scales down the term of a loss that outweighs the others, so that each has a say in the step.

## What it does
The value of the loss function `term` is multiplied by `factor` in training, wherever the loop adds it to others. The
factor brings the best constant answer's loss of that term (the variance of its targets, the entropy of its classes) to
that of the next smaller one. Validation keeps the loop's own weights.

## When it helps
dominant_loss_term: a price in the hundred thousands beside a class, by squares.

## When it hurts
Where the large term is the task and the other a gentle nudge. The steps are shorter by the same factor where the
optimizer does not scale its gradients.

## Cost
None.

## References
Kendall, Gal, Cipolla: Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics. CVPR
2018, arXiv 1705.07115 (performance depends strongly on the relative weights).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field
from torch.nn import functional

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.loss_changes import LossArguments
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._loss_calls import calls_changed, change_calls, in_training

CHANGES = frozenset({"loss_terms"})
OUTWEIGHS = 10.0  # a decade: less is a weight that someone may have meant


class Parameters(_Parameters):
    """term: a loss function of torch's by its name;  factor: what its value is multiplied by."""

    term: str = ""
    factor: float = Field(default=0.01, gt=0.0, allow_inf_nan=False)


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:  # noqa: ARG001  the terms show it
    """One, where a term outweighs the others and its loss function runs once a step."""
    try:
        told, series = evidence.fact("loss_weights"), evidence.layers("loss_terms")
    except Missing:
        return []
    terms = [term for term in told if isinstance(term, dict)] if isinstance(told, list) else []
    if len(terms) != len(series.names) or len(terms) < 2:
        return []
    sizes = [_size(term, values) for term, values in zip(terms, series.values.T, strict=True)]
    largest = int(np.argmax(sizes))
    name, second = series.names[largest], max(size for i, size in enumerate(sizes) if i != largest)
    if not _is_alone(name, series.names) or not 0 < OUTWEIGHS * second < sizes[largest]:
        return []
    return [Parameters(term=name, factor=float(f"{second / sizes[largest]:.3g}"))]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where no term is named."""
    if not hasattr(functional, parameters.term or " "):
        raise CannotApply("no loss function is named", context="loss_balance", hint='term="mse_loss", say')

    def change(call: LossArguments) -> LossArguments:
        scaled = call.name == parameters.term and in_training(session)
        return call.scaled(parameters.factor) if scaled else call

    change_calls(session, "loss_balance", change, {"term": parameters.term, "factor": parameters.factor})


def took_effect(record: Record, parameters: Parameters) -> bool:
    """Whether this term was scaled."""
    note = record.facts.get("remedy.loss_balance")
    return isinstance(note, dict) and note.get("term") == parameters.term and calls_changed(record, "loss_balance")


def _size(term: dict[str, Json], values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """What the best constant answer would add to the loss; the typical value where that is not known."""
    weight, guess = term.get("weight"), term.get("guess")
    if isinstance(weight, int | float) and isinstance(guess, int | float) and guess > 0:
        return abs(weight) * guess
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else 0.0


def _is_alone(name: str, names: Sequence[str]) -> bool:
    """Whether a term is a loss function of torch's that no other term calls too: then its calls are known by name."""
    return hasattr(functional, name) and sum(other.split(" ")[0] == name for other in names) == 1
