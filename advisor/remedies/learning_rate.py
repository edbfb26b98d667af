"""Multiplies the learning rate of every param_group, or sets the highest of them and keeps their proportions.

## What it does
Scales `lr` in every param_group of every optimizer, and with it whatever a scheduler has stored of it (base_lrs,
max_lr, eta_min …), so that the schedule keeps its shape. With `lr` the group that learns fastest gets that rate and
the others keep their ratio to it, as fine-tuning sets them up on purpose.

## When it helps
Too high: the loss oscillates, explodes or stays where it was. Too low: it falls steadily and far too slowly.

## When it hurts
Raised, it can cost a run that was stable; lowered, one that was fast. A plateau alone is no reason to lower it.

## Cost
None.

## References
Bengio: Practical Recommendations for Gradient-Based Training of Deep Architectures. arXiv 1206.5533.
Smith: Cyclical Learning Rates for Training Neural Networks (the range test). arXiv 1506.01186.
"""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field, model_validator

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._rates import highest, scale

CHANGES = frozenset({"learning_rate"})
LASTS = "optimizer"
TOO_HIGH = frozenset(
    {
        "learning_rate_too_high",
        "momentum_too_high",
        "exploding_gradients",
        "oscillating_loss",
        "unstable_loss",
        "dead_units",
        "non_finite_loss",
        "non_finite_gradients",
    }
)
TOO_LOW = frozenset({"learning_rate_too_low", "learning_rate_collapsed", "slow_convergence", "underfitting"})
PROBE = "probe.learning_rate_range"
DOWN = (0.1, 0.01, 1 / 3)  # decades first, since a rate that is clearly wrong is wrong by orders of magnitude;
UP = (10.0, 100.0, 3.0)  # then about half a decade, so that three choices cover two decades
EITHER = (3.0, 1 / 3)
DIGITS = 2  # of a suggested rate: it goes into plans and scripts, and the range test knows no more
BELOW_STABLE = 2.0  # the best rate is usually within a factor of two of the highest that converges (Smith, section 3.3)
SAME = 0.2  # of a decade and a half: a suggestion within 1.6 times of the rate in use would be the same run again


class Parameters(_Parameters):
    """factor: multiplies every rate;  lr: the new highest rate. One of the two; 0.1 times where neither is given."""

    factor: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    lr: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _one_of_two(cls, given: Any) -> Any:
        if isinstance(given, dict):
            factor, lr = given.get("factor"), given.get("lr")
            if factor is not None and lr is not None:
                raise ValueError("factor and lr exclude each other")
            if factor is None and lr is None:
                return {**given, "factor": DOWN[0]}
        return given


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """What the range test suggests, where it was run and does not contradict the diagnosis; then decades."""
    fired = [finding.rule for finding in diagnosis.findings]  # the leading cause first
    blamed = next((rule for rule in fired if rule in TOO_HIGH | TOO_LOW), None)
    factors = EITHER if blamed is None else DOWN if blamed in TOO_HIGH else UP
    suggested = _suggested(evidence)
    if suggested is None:
        return [Parameters(factor=factor) for factor in factors]
    lr, ratio = suggested
    away = abs(math.log10(ratio)) < SAME
    against = blamed is not None and (ratio > 1) == (blamed in TOO_HIGH)
    first = [] if away or against else [Parameters(lr=float(f"{lr:.{DIGITS}g}"))]
    return [*first, *(Parameters(factor=factor) for factor in factors)][: len(DOWN)]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where there is no rate to multiply, or it is that one already."""
    before = highest(session.optimizers) if session.optimizers else 0.0
    if not before:
        raise CannotApply("no optimizer with a learning rate above 0", context="learning_rate")
    factor = parameters.factor if parameters.factor is not None else (parameters.lr or before) / before
    if factor == 1:
        raise CannotApply(f"the learning rate is {before:g} already", context="learning_rate")
    scale(session, session.optimizers, factor)
    session.note("learning_rate", {"before": before, "after": before * factor})


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  the facts have both rates
    """Whether the highest rate that was recorded is nearer to the new one than to the old one."""
    note, series = record.facts.get("remedy.learning_rate"), record.series.get("lr")
    if not isinstance(note, dict):
        return False
    before, after = note.get("before"), note.get("after")
    if not isinstance(before, float) or not isinstance(after, float):
        return False
    seen = float(series.values.max()) if series is not None and len(series.steps) else after  # a warm-up begins low
    return seen > 0 and abs(math.log(seen / after)) < abs(math.log(seen / before))


def _suggested(evidence: Evidence) -> tuple[float, float] | None:
    """(rate, its ratio to the one in use) of the range test; None where it was not run or found none.

    Where no rate of its sweep let the loss fall, what is slow to learn is given the longest steps that held.
    """
    try:
        used = evidence.entry(PROBE, "used")
        lr = evidence.entry(PROBE, "suggested", evidence.entry(PROBE, "highest_stable", 0.0) / BELOW_STABLE)
    except Missing:
        return None
    return (lr, lr / used) if lr > 0 and used > 0 else None
