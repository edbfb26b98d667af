"""What happens in a fix session, as it happens: small values for whoever shows the progress."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.diagnosis import Diagnosis
from advisor.plan import Plan
from advisor.session import Trial, Verdict


@dataclass(frozen=True, slots=True)
class RunDone:
    """One training came to its end. score: None where it broke, or before the metric is known."""

    trial: int
    plan: Plan
    seed: int
    score: float | None
    seconds: float
    spent: float
    budget: float


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """Of the baseline, or of an accepted plan."""

    plan: Plan
    diagnosis: Diagnosis


@dataclass(frozen=True, slots=True)
class BaselineDone:
    """The baseline is measured; on one seed only where nothing is going to be tried."""

    trial: Trial
    metric: str


@dataclass(frozen=True, slots=True)
class TrialStarted:
    number: int
    plan: Plan
    stage: str
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TrialDone:
    trial: Trial


@dataclass(frozen=True, slots=True)
class Accepted:
    """The plan is kept from here on."""

    plan: Plan
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Resumed:
    """An interrupted session goes on; trainings: so many are known already, and told again as they are asked for."""

    session: int
    trainings: int


Event = Resumed | RunDone | Diagnosed | BaselineDone | TrialStarted | TrialDone | Accepted
