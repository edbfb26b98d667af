"""Lets a training error beyond a bound pull no harder than the bound, so that a few extreme targets decide nothing.

## What it does
Exchanges mse_loss for huber_loss in training: half the square up to `delta`, a straight line beyond. Without `delta`
it is 1.345 robust standard deviations of the targets of the first training batch. Validation keeps the squared error.

## When it helps
outlier_targets: a code for "no reading" among the targets, a sensor that failed.

## When it hurts
Where the extremes are what matters. What is predicted lies between the mean and the median, so that a squared error on
clean, skewed targets may rise. The gradient of a small error is half of that of the square, as Huber's loss is written:
the steps of plain SGD are half as long.

## Cost
None.

## References
Huber: Robust Estimation of a Location Parameter. Annals of Mathematical Statistics 35 (1964) 73-101, doi
10.1214/aoms/1177703732.
statsmodels, HuberT (1.345 standard deviations by default):
https://www.statsmodels.org/stable/generated/statsmodels.robust.norms.HuberT.html
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence, Missing
from advisor.loss_changes import LossArguments
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._loss_calls import calls_changed, change_calls, in_training, loss_may_be, refuse_other

CHANGES = frozenset({"loss_function"})
EFFICIENT = 1.345  # standard deviations: the default of statsmodels, 95 % efficient on normal errors
NORMAL_MAD = 1.4826  # standard deviation of a normal distribution whose MAD is 1
TIGHTER = 0.3  # half a decade less: what is left of the spread once a third of it is explained


class Parameters(_Parameters):
    """delta: the bound, in the unit of the targets."""

    delta: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:  # noqa: ARG001  any regression may try it
    """By the spread of the targets, and a tighter bound, for a regression with squared errors."""
    if evidence.info.task not in (None, "regression") or not loss_may_be(evidence, {"mse_loss"}):
        return []
    try:
        delta = EFFICIENT * NORMAL_MAD * evidence.entry("targets", "mad")
    except Missing:
        return [Parameters()]
    return [Parameters(delta=float(f"{d:.3g}")) for d in (delta, TIGHTER * delta)] if delta > 0 else []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the loss is known to be no squared error."""
    refuse_other(session, "robust_loss", {"mse_loss"})
    facts: dict[str, Json] = {"delta": parameters.delta}

    def change(call: LossArguments) -> LossArguments:
        target = call.target
        if call.name != "mse_loss" or call.output is None or target is None or not in_training(session):
            return call
        if facts["delta"] is None:
            if torch.compiler.is_compiling():
                return call
            facts["delta"] = spread(target) or None
        if facts["delta"] is None:
            return call
        given = {key: call.given[key] for key in ("input", "target", "reduction", "weight") if key in call.given}
        return call.exchanged("huber_loss", **given, delta=facts["delta"])

    change_calls(session, "robust_loss", change, facts)


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any bound leaves the same fact
    """Whether a call was exchanged."""
    return calls_changed(record, "robust_loss")


def spread(target: Tensor) -> float:
    """The bound for these targets: of their median absolute deviation, where that is 0 of their standard deviation."""
    values = target.detach().float().reshape(-1)
    deviation = NORMAL_MAD * float((values - values.median()).abs().median())
    return EFFICIENT * (deviation or float(values.std(correction=0)))
