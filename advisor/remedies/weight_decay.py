"""Pulls every weight towards zero a little in each step, so that only what the data ask for stays large.

## What it does
Sets `weight_decay` in every param_group that holds a weight matrix or kernel. A group of biases and norms alone keeps
what it has. Groups are not split: a scheduler and a saved optimizer know them by their place, so a bias that shares a
group with weights is decayed with them, as torch does by default. Where the optimizer offers the choice (Adam, NAdam,
RAdam) the decay is decoupled from the gradient, which is what makes it a decay there (Loshchilov and Hutter).

## When it helps
Overfitting; set lower, a network whose weights are pulled to zero faster than they can learn.

## When it hurts
Too much of it is underfitting. Under a norm the size of a weight matters little, and the decay acts mostly on the
effective learning rate.

## Cost
None.

## References
Krogh, Hertz: A Simple Weight Decay Can Improve Generalization. NIPS 4 (1991).
Loshchilov, Hutter: Decoupled Weight Decay Regularization. ICLR 2019, arXiv 1711.05101.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session

CHANGES = frozenset({"decay"})
LASTS = "optimizer"
DECOUPLED = 1e-2  # torch's default for AdamW; the decay of a step is lr times this
COUPLED = 5e-4  # Zagoruyko, Komodakis 2016, arXiv 1605.07146, with SGD (He et al. 2015 use 1e-4)
STRONGER = 10.0  # a decade, since the useful range spans several
OFTEN_HARMLESS = 1e-4  # He et al. 2015, arXiv 1512.03385


class Parameters(_Parameters):
    """weight_decay: the new value, 0 for none."""

    weight_decay: float = Field(default=DECOUPLED, ge=0.0, allow_inf_nan=False)


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The optimizer's usual value and ten times that; where decay is what hurts, little and none."""
    used = _used(evidence)
    if any(finding.rule == "over_regularised" for finding in diagnosis.findings):
        return [Parameters(weight_decay=value) for value in (OFTEN_HARMLESS, 0.0) if used is None or value < used]
    usual = DECOUPLED if "Adam" in _optimizer(evidence) else COUPLED
    return [Parameters(weight_decay=value) for value in (usual, usual * STRONGER) if used is None or value > used]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where no optimizer decays, or all have this value."""
    groups = [
        group
        for optimizer in session.optimizers
        for group in optimizer.param_groups
        if "weight_decay" in group and any(weight.dim() > 1 for weight in group["params"])
    ]
    if not groups:
        raise CannotApply(
            "no optimizer with weight_decay holds a weight", context="weight_decay", hint="AdamW and SGD have it"
        )
    changed: list[Json] = []
    for group in groups:
        before = float(group["weight_decay"])
        # Decay that was there and coupled stays coupled: its value was chosen for that.
        decouple = not before and group.get("decoupled_weight_decay") is False
        if before != parameters.weight_decay:
            group["weight_decay"] = parameters.weight_decay
            if decouple:
                group["decoupled_weight_decay"] = True
            changed.append([before, parameters.weight_decay])
    if not changed:
        raise CannotApply(f"weight_decay is {parameters.weight_decay:g} already", context="weight_decay")
    session.note("weight_decay", {"changed": changed, "value": parameters.weight_decay})


def took_effect(record: Record, parameters: Parameters) -> bool:
    """Whether a param_group was given this value."""
    note = record.facts.get("remedy.weight_decay")
    return isinstance(note, dict) and note.get("value") == parameters.weight_decay


def _groups(evidence: Evidence) -> list[Any]:
    try:
        groups = evidence.fact("optimizer")
    except Missing:
        return []
    return [group for group in groups if isinstance(group, dict)] if isinstance(groups, list) else []


def _optimizer(evidence: Evidence) -> str:
    return str(_groups(evidence)[0].get("class")) if _groups(evidence) else ""


def _used(evidence: Evidence) -> float | None:
    """The strongest decay in use; None where it is not known."""
    values = [group.get("weight_decay") for group in _groups(evidence)]
    return max((float(value) for value in values if isinstance(value, int | float)), default=None)
