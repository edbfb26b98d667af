"""Changes on top of what is kept -> one run of each on the screening seed, losers stopped early, and how they did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from advisor.assignment import Rival
from advisor.laboratory import SCREEN, Laboratory
from advisor.measured import Measured
from advisor.plan import Plan
from advisor.remedies import load_remedies
from advisor.rivals import EARLIEST, LATER
from advisor.session import Trial, Verdict
from advisor.strategies import Screened
from advisor.verdict import judge

if TYPE_CHECKING:
    from advisor.diagnosis import Diagnosis
    from advisor.finding import Finding
    from advisor.trial import Job


@dataclass(frozen=True, slots=True)
class Tried:
    """A change that was screened, and how it did.

    promising: more than the noise of what is kept could explain;  healthy: nothing is wrong with its run any more
    stopped:   it fell behind another one, and its gain is that of the epoch where it did: differences are larger there
    """

    number: int
    change: Plan
    gain: float
    promising: bool
    healthy: bool = False
    stopped: bool = False


class Screening:
    """All that one stage screens.

    screened: everything, for the strategy;  tried: what gained anything
    noise:    standard deviation of what is kept over its seeds
    leading:  the finding whose fault lies in the wiring or the data, where one leads: its first remedy is run to its
              end whatever the score says, since a second fault can hide all that the repair of the first is worth
    """

    def __init__(self, lab: Laboratory, kept: Plan, *, seeds: int, leading: Finding | None = None) -> None:
        self._lab, self._kept, self._seeds, self._leading = lab, kept, seeds, leading
        self.noise = lab.noise(kept)
        self.tried: list[Tried] = []
        self.screened: list[Screened] = []

    def screen(self, changes: Sequence[Plan]) -> None:
        """Train each once, side by side where the session has several jobs."""
        from advisor.trial import Job

        lab, kept = self._lab, self._kept
        if changes and lab.known(kept, SCREEN) is None:
            lab.train([Job(0, kept, SCREEN, lab.ledger.id)])
        trials: list[Trial] = []
        for change in changes:
            number, plan = lab.ledger.next_number(), kept.changed_by(change)
            trial = Trial(number=number, plan=plan, stage="screen", seeds=(SCREEN,), against=kept)
            trials.append(lab.ledger.start(trial))
        rivals = [self._rival(change) for change in changes]
        jobs: list[Job] = [
            Job(trial.number, trial.plan, SCREEN, lab.ledger.id, rival)
            for trial, rival in zip(trials, rivals, strict=True)
        ]
        for trial, change, run in zip(trials, changes, lab.train(jobs), strict=True):
            self._enter(trial, change, run)

    def _enter(self, trial: Trial, change: Plan, run: Measured) -> None:
        """Judge one run, and put it down."""
        lab, kept = self._lab, self._kept
        assert lab.metric is not None  # set with the baseline
        before, after = lab.results(kept, [SCREEN]), [run.result(lab.metric)]
        if run.pruned:
            before = lab.at_the_same_epoch(kept, SCREEN, run)
        took = run.broken or run.took_effect()
        verdict = judge(before, after, [SCREEN], lab.metric, noise=self.noise, took_effect=took)
        note = f"stopped at {run.end}" if run.pruned else "" if not run.broken else f"raised {run.error}"
        shown = lab.row(trial, [run], note=note)
        if run.cannot_apply:  # nothing was trained: there is no score to show
            why = run.cannot_apply.removeprefix(f"{change.steps[-1].remedy}: ")
            verdict = Verdict(kind="no_effect", seeds=(SCREEN,), baseline=(), plan=(), gain=0.0, reason=why)
            shown = shown.model_copy(update={"scores": (), "note": why})
            lab.ledger.advise(f"{change} cannot be applied here: {why}")
        counts = verdict.kind not in ("failed", "no_effect")
        hopeful = counts and verdict.gain > 0
        promising = hopeful and not run.pruned and self._promising(verdict)
        whole = (promising or (counts and self._answers(change))) and not run.pruned and not run.broken
        said = (lab.diagnosis(run), lab.evidence(run)) if whole else (None, None)
        cured = whole and not promising and self._is_gone(said[0])
        self.screened.append(Screened(change, verdict.gain, promising, cured, *said))
        if hopeful:
            healthy = said[0] is not None and said[0].status == "healthy"
            self.tried.append(Tried(trial.number, change, verdict.gain, promising, healthy, stopped=run.pruned))
        lab.ledger.done(shown.model_copy(update={"verdict": verdict, "behind": run.pruned and counts}))

    def _rival(self, change: Plan) -> Rival | None:
        """What the screening has to keep up with: the best run so far.

        None for a change of the length: halfway through a longer run is no place to compare. None for what answers the
        leading finding either.
        """
        if self._answers(change):
            return None
        parts = {part for step in change.steps for part in load_remedies()[step.remedy].changes}
        if "epochs" in parts:
            return None
        since = LATER if "schedule" in parts else EARLIEST
        return self._lab.rival(self._leader(), SCREEN, self._kept, since=since)

    def _answers(self, change: Plan) -> bool:
        """Whether a change is the first remedy of the leading finding, alone."""
        first = self._leading.remedies[:1] if self._leading is not None else ()
        return tuple(step.remedy for step in change.steps) == first

    def _is_gone(self, diagnosis: Diagnosis | None) -> bool:
        """Whether the leading finding is not made again."""
        if self._leading is None or diagnosis is None:
            return False
        return all(finding.rule != self._leading.rule for finding in diagnosis.findings)

    def _leader(self) -> Plan:
        """The best plan that has run to its end on the screening seed: what is kept, or a change on top of it."""
        lab = self._lab
        assert lab.metric is not None  # set with the baseline
        kept = lab.known(self._kept, SCREEN)
        best, leader = -math.inf, self._kept
        for plan in (self._kept, *(self._kept.changed_by(t.change) for t in self.tried)):
            run = lab.known(plan, SCREEN)
            if run is None or run.broken or kept is None or run.epochs != kept.epochs:
                continue
            score = lab.metric.sign * run.result(lab.metric).final
            if score > best:  # never a NaN
                best, leader = score, plan
        return leader

    def _promising(self, verdict: Verdict) -> bool:
        """Above the noise, or better than what is kept has been on any seed."""
        lab = self._lab
        assert lab.metric is not None  # set with the baseline
        seeds = [s for s in range(SCREEN, self._seeds + 1) if lab.known(self._kept, s) is not None]
        finals = [lab.metric.sign * r.final for r in lab.results(self._kept, seeds)]
        return verdict.gain > self.noise or all(lab.metric.sign * verdict.plan[0] > value for value in finals)
