"""What to try next: one file a strategy, found by being here.

What a strategy's module defines: a docstring that says how it chooses, and `build(setting) -> Strategy`. A strategy
lives for one stage of a session: from what is kept to the next plan that is accepted.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from advisor.diagnosis import Diagnosis
from advisor.errors import AdvisorError, PlanError
from advisor.evidence import Evidence
from advisor.experience import Experience
from advisor.plan import Plan
from advisor.remedies import Remedy, check_plan, load_remedies


@dataclass(frozen=True, slots=True)
class Screened:
    """One change that was tried on top of what is kept.

    gain:      on the screening seed, positive is better
    promising: more than noise could explain
    cured:     it gained nothing, though the leading fault is gone from its run: another one may hide what it is worth
    diagnosis, evidence: of its run; None where it did not come to its end
    """

    change: Plan
    gain: float
    promising: bool = False
    cured: bool = False
    diagnosis: Diagnosis | None = None
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """What a stage begins with.

    kept:      the plan that every change is added to
    diagnosis: of a run of it
    evidence:  of the same run
    leftovers: changes that looked good in the stage before and were not kept, best first
    first:     the diagnosis of the unchanged program, where something is kept since
    history:   all that earlier stages screened, each against what was kept then
    experience: what helped in earlier sessions
    force:     the user wants something tried though nothing is wrong
    repair:    only what repairs the leading finding: the number to judge by says nothing else
    affordable: whether the budget still allows a plan to be screened and confirmed
    """

    kept: Plan
    diagnosis: Diagnosis
    evidence: Evidence
    leftovers: tuple[Plan, ...] = ()
    first: Diagnosis | None = None
    history: tuple[Screened, ...] = ()
    experience: Experience = field(default_factory=Experience)
    force: bool = False
    repair: bool = False
    affordable: Callable[[Plan], bool] = lambda _: True

    @property
    def spent(self) -> list[Plan]:
        """Changes that gained nothing in an earlier stage: they are not tried again on top of what is kept since.

        What was added there to the very change that was kept counts as well, by itself and with that change, where both
        together gained no more than it did alone.
        """
        spent = [s.change for s in self.history if s.gain <= 0]
        alone = {_steps(s.change): s.gain for s in self.history}
        kept = _steps(self.kept)
        for s in self.history:
            within = _steps(s.change) & kept
            if within in alone and within != _steps(s.change) and s.gain <= alone[within]:
                added = tuple(step for step in s.change.steps if str(step) not in kept)
                spent += [s.change, Plan(steps=added)]
        return spent


class Strategy(Protocol):
    """Proposes changes, one at a time."""

    def follow_up(self, screened: Sequence[Screened]) -> Plan | None:
        """A change that goes on from one that looked promising, before that is confirmed; None for none."""

    def ask(self, screened: Sequence[Screened]) -> Plan | None:
        """The next change, without what is kept; None when there is no more. `screened`: all of this stage so far."""


def known_strategies() -> tuple[str, ...]:
    return tuple(sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_")))


def build(name: str, setting: Setting) -> Strategy:
    """Raises: AdvisorError for a name that is not there."""
    if name not in known_strategies():
        raise AdvisorError(
            f"there is no strategy {name!r}", context="strategy", hint=f"use one of {', '.join(known_strategies())}"
        )
    made: Strategy = importlib.import_module(f"{__name__}.{name}").build(setting)
    return made


def fits(kept: Plan, change: Plan) -> bool:
    """Whether a change makes another plan of what is kept: known remedies, and no part changed by two of them."""
    plan = kept.changed_by(change)
    try:
        check_plan(plan)
    except PlanError:
        return False
    return plan != kept


def adds(kept: Plan, change: Plan) -> bool:
    """Whether a change brings a remedy that is not kept, and fits."""
    return bool({step.remedy for step in change.steps} - {step.remedy for step in kept.steps}) and fits(kept, change)


def resulting(kept: Plan, change: Plan) -> frozenset[str]:
    """The steps that a change makes of what is kept: the same for changes that come to the same training."""
    return _steps(kept.changed_by(change))


def choices(remedy: Remedy, diagnosis: Diagnosis, evidence: Evidence) -> list[Plan]:
    """A remedy's candidates; none where it cannot choose for want of numbers."""
    try:
        return remedy.candidates(diagnosis, evidence)
    except LookupError:  # Missing: this run has not measured what the remedy chooses by
        return []


def whole_pool(setting: Setting) -> list[Plan]:
    """Every remedy's candidates without looking at the diagnosis, as far as they can be added to what is kept."""
    blind = Diagnosis(status="healthy")
    top = setting.diagnosis.top
    pool: list[Plan] = []
    for remedy in load_remedies().values():
        if setting.repair and (top is None or remedy.name not in top.remedies):
            continue
        for change in choices(remedy, setting.diagnosis if setting.repair else blind, setting.evidence):
            if fits(setting.kept, change) and change not in (*pool, *setting.spent):
                pool.append(change)
    return pool


def _steps(plan: Plan) -> frozenset[str]:
    return frozenset(map(str, plan.steps))
