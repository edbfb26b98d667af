"""What whoever started this process wants of the run in it: set by a trial or by `advisor run`, read by `watch`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from advisor.plan import Plan


@dataclass(frozen=True, slots=True)
class Rival:
    """The run that a trial has to keep up with, for stopping clear losers early.

    floors:   by epoch, the score below which a run is clearly behind; higher is better (losses are negated)
    patience: epochs in a row
    metric:   the series that the scores are of; None for the run's own metric
    """

    floors: Mapping[int, float]
    patience: int = 2  # a convention: one bad epoch is noise, two in a row by a clear margin are not
    metric: str | None = None

    def behind(self, epoch: int, score: float | None, before: int) -> int:
        """For how many epochs in a row a run is clearly behind, with this one; `before`: without it.

        An epoch without a floor counts for nothing, a score that is missing or not finite as behind.
        """
        if epoch not in self.floors:
            return before
        keeps_up = score is not None and math.isfinite(score) and score >= self.floors[epoch]
        return 0 if keeps_up else before + 1


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
