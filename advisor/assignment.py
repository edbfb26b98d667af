"""What whoever started this process wants of the run in it: set by a trial or by `advisor run`, read by `watch`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from advisor.plan import Plan


@dataclass(frozen=True, slots=True)
class Rival:
    """The run that a trial has to beat, for stopping clear losers early.

    scores: the baseline's metric by epoch on the same seed, higher is better (losses are negated)
    margin: how far below counts as clear
    patience: epochs in a row
    metric: the series that `scores` are of; None for the run's own metric
    """

    scores: Mapping[int, float]
    margin: float
    patience: int = 2  # a convention: one bad epoch is noise, two in a row by a clear margin are not
    metric: str | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """Orders for the next `advisor.watch` of this process.

    plan:     applied after the script's own
    store:    where the record goes; None for the default
    rival:    stop early when clearly worse
    probes:   experiments to run on copies
    judging:  share of the run's time for measuring what stands in for a metric in doubt (`advisor.independent`)
    quiet:    print nothing
    """

    plan: Plan = field(default_factory=Plan)
    seed: int | None = None
    session: int | None = None
    trial: int | None = None
    store: str | None = None
    rival: Rival | None = None
    probes: tuple[str, ...] = ()
    name: str | None = None
    judging: float = 0.0
    quiet: bool = False


_current: Assignment | None = None


def assign(assignment: Assignment | None) -> None:
    """Give orders to this process; None takes them back."""
    global _current
    _current = assignment


def current() -> Assignment | None:
    """The orders in force."""
    return _current
