"""Makes the loop longer or shorter.

## What it does
Multiplies the planned number of epochs by `factor`, or sets it to `epochs`. Schedules that span the run are stretched
with it (cosine, one cycle, linear, polynomial, milestones, a function of the epoch); schedules that repeat or decay at
their own pace stay as they are.

## When it helps
The best epoch is among the last ones and the validation score still rises.

## When it hurts
A run that overfits only overfits further. A gain must be judged against the plain run at the same number of epochs.

## Cost
As many times the run as the factor says.

## References
Godbole, Dahl, Gilmer, Shallue, Nado: Deep Learning Tuning Playbook, "Determining the number of steps for each training
run". github.com/google-research/tuning_playbook.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from pydantic import Field, model_validator
from torch.optim import lr_scheduler as schedulers

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._rates import attached

CHANGES = frozenset({"epochs"})
FACTOR = 2.0  # the usual step: the smallest change that shows where the curve goes
SHORT = 10  # epochs below which a curve is mostly ascent, so that doubling them is not enough
OWN_PACE = (
    schedulers.StepLR,
    schedulers.ExponentialLR,
    schedulers.ReduceLROnPlateau,
    schedulers.ConstantLR,
    schedulers.CyclicLR,
    schedulers.CosineAnnealingWarmRestarts,
)


class Parameters(_Parameters):
    """factor: of the planned length;  epochs: the new length. One of the two; twice where neither is given."""

    factor: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    epochs: int | None = Field(default=None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _one_of_two(cls, given: Any) -> Any:
        if isinstance(given, dict):
            factor, epochs = given.get("factor"), given.get("epochs")
            if factor is not None and epochs is not None:
                raise ValueError("factor and epochs exclude each other")
            if factor is None and epochs is None:
                return {**given, "factor": FACTOR}
        return given


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """Longer; much longer first where the run is so short that it says little. None where it overfits."""
    fired = {finding.rule for finding in diagnosis.findings}
    planned = evidence.info.epochs
    if planned is None or fired & {"overfitting", "data_scarcity"}:
        return []
    # powers of about two: lengths are searched by doubling
    longer = (8.0, 3.0, FACTOR) if planned < SHORT else (FACTOR, 4.0)
    return [Parameters(factor=factor) for factor in longer]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply for an endless loop, an unchanged length, or a schedule that cannot be stretched."""
    before = session.epochs
    if before is None:
        raise CannotApply("the loop is endless", context="more_epochs", hint="give advisor.watch a range")
    after = parameters.epochs or max(1, round(before * (parameters.factor or FACTOR)))
    if after == before:
        raise CannotApply(f"the run has {before} epochs already", context="more_epochs")
    found = attached(session)
    for scheduler in found:
        if not isinstance(scheduler, (*OWN_PACE, *STRETCH)):
            raise CannotApply(
                f"the run has a {type(scheduler).__name__}, which cannot be stretched to {after} epochs",
                context="more_epochs",
                hint="set the number of epochs and the scheduler in the script",
            )
    stretched = [_stretch(scheduler, after / before, before) for scheduler in found]
    session.epochs = after
    session.note("more_epochs", {"before": before, "after": after, "stretched": [name for name in stretched if name]})


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  the facts have both lengths
    """Whether the loop went on past its old end, or ended before it."""
    note = record.facts.get("remedy.more_epochs")
    if not isinstance(note, dict):
        return False
    before, after = note.get("before"), note.get("after")
    if not isinstance(before, int) or not isinstance(after, int):
        return False
    if record.info.step_based:
        return record.last_step > before if after > before else record.last_step <= after
    return record.epochs_seen > before if after > before else record.epochs_seen <= after


class Stretched:
    """A LambdaLR's function of the epoch, spread over a longer or shorter run."""

    def __init__(self, function: Callable[[int], float], ratio: float) -> None:
        self.function, self.ratio = function, ratio

    def __call__(self, epoch: int) -> float:
        return self.function(int(epoch / self.ratio))


def _stretch(scheduler: Any, ratio: float, before: int) -> str:
    """Spread a schedule over the new length; its name, or "" where it was left alone."""
    for kind, stretch in STRETCH.items():
        if isinstance(scheduler, kind) and stretch(scheduler, ratio, before):
            return kind.__name__
    return ""


def _length(name: str) -> Callable[[Any, float, int], bool]:
    def stretch(scheduler: Any, ratio: float, before: int) -> bool:
        length = getattr(scheduler, name)
        if length < before:
            return False  # it repeats, or ends early, on purpose
        setattr(scheduler, name, max(1, round(length * ratio)))
        return True

    return stretch


def _one_cycle(scheduler: Any, ratio: float, _: int) -> bool:
    scheduler.total_steps = max(1, round(scheduler.total_steps * ratio))
    for phase in scheduler._schedule_phases:
        phase["end_step"] = (phase["end_step"] + 1) * ratio - 1
    return True


def _milestones(scheduler: Any, ratio: float, _: int) -> bool:
    scheduler.milestones = Counter(round(epoch * ratio) for epoch in scheduler.milestones.elements())
    return True


def _functions(scheduler: Any, ratio: float, _: int) -> bool:
    scheduler.lr_lambdas = [Stretched(function, ratio) for function in scheduler.lr_lambdas]
    return True


STRETCH: dict[type, Callable[[Any, float, int], bool]] = {
    schedulers.CosineAnnealingLR: _length("T_max"),
    schedulers.LinearLR: _length("total_iters"),
    schedulers.PolynomialLR: _length("total_iters"),
    schedulers.OneCycleLR: _one_cycle,
    schedulers.MultiStepLR: _milestones,
    schedulers.LambdaLR: _functions,
}
