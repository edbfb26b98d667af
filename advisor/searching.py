"""A measured baseline -> a plan: screen changes on one seed, confirm the best on fresh seeds, keep, diagnose, again.

A stage goes from what is kept to the next plan that is accepted. Within it every change is tried on top of what is
kept, and compared with that; losers are stopped early.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from advisor import strategies
from advisor.assignment import Rival
from advisor.baseline import SCREEN, Baseline
from advisor.confirming import MOST_LOOKS, confirm, price, seeds_of
from advisor.diagnosis import Diagnosis
from advisor.events import Accepted, Diagnosed
from advisor.evidence import Evidence
from advisor.laboratory import Laboratory
from advisor.metric import GAP
from advisor.plan import Plan
from advisor.remedies import load_remedies
from advisor.session import Trial, Verdict
from advisor.strategies import Screened, Setting, Strategy
from advisor.verdict import judge

if TYPE_CHECKING:
    from advisor.trial import Job


REPAIRED = ("wiring", "data")  # kinds of rules whose fault a remedy takes away
EARLIEST = 0.25  # of a run, before which no screening is stopped: what regularises begins slowly
ADDED = 2.0  # standard deviations that one more remedy has to bring: by chance in one of 40 screenings
CLEARLY = 3.0  # standard deviations of what is kept: by chance in one of 700 screenings


@dataclass(frozen=True, slots=True)
class Tried:
    """A change that was screened, and how it did. promising: more than the noise of what is kept could explain."""

    number: int
    change: Plan
    gain: float
    promising: bool


def search(lab: Laboratory, first: Baseline, *, strategy: str, seeds: int, force: bool) -> Plan:
    """Stage after stage until one accepts nothing or the budget ends; the plan that is kept."""
    repair = first.metric.name == GAP
    setting = Setting(Plan(), first.diagnosis, first.evidence, experience=lab.experience, force=force, repair=repair)
    while True:
        stage = _Stage(lab, setting, strategies.build(strategy, setting), seeds=seeds)
        kept = stage.run()
        if kept is None:
            return setting.kept
        found = _diagnose_again(lab, kept)
        if found is None or repair:
            return kept
        setting = dataclasses.replace(
            setting,
            kept=kept,
            diagnosis=found[0],
            evidence=found[1],
            leftovers=stage.leftovers(),
            first=first.diagnosis,
            history=(*setting.history, *stage.screened),
        )


class _Stage:
    """From one kept plan to the next."""

    def __init__(self, lab: Laboratory, setting: Setting, strategy: Strategy, *, seeds: int) -> None:
        self._lab, self._kept, self._strategy, self._seeds = lab, setting.kept, strategy, seeds
        self._setting = setting
        self._tried: list[Tried] = []
        self._too_dear: set[str] = set()  # changes that were advised instead of tried
        self.screened: list[Screened] = []
        self._confirmed: list[Plan] = []
        self._noise = lab.noise(setting.kept)
        self._exhausted = False
        self._looks = 0  # at p values, for which the level pays

    def run(self) -> Plan | None:
        """Screen and confirm until a plan is accepted; None where nothing helps or nothing more fits."""
        while True:
            if self._looks >= MOST_LOOKS:
                return None
            follow = self._strategy.follow_up(self.screened)
            if follow is not None:
                if self._can_confirm(follow):
                    self._screen(follow)
                continue
            repair = self._decisive()
            if repair is not None:
                if self._confirm(repair):
                    return self._kept.changed_by(repair.change)
            elif self._may_screen():
                change = self._strategy.ask(self.screened)
                if change is None:
                    self._exhausted = True
                elif self._can_confirm(change):
                    self._screen(change)
            else:
                best = self._best()
                if best is None:
                    return None
                if self._confirm(best):
                    return self._kept.changed_by(best.change)

    def leftovers(self) -> tuple[Plan, ...]:
        """Changes that looked promising and were not confirmed, best first."""
        rest = [t for t in self._tried if t.promising and t.change not in self._confirmed]
        return tuple(t.change for t in sorted(rest, key=lambda t: -t.gain))

    # ----------------------------------------------------------------------------------------------------- screening

    def _may_screen(self) -> bool:
        """Whether a screening still fits beside the confirmation that follows it.

        Once something promising is found, a second screening and confirmation are held back too, for what is composed
        with it.
        """
        if self._exhausted:
            return False
        one = self._lab.price(self._kept)
        now = one if self._lab.known(self._kept, SCREEN) is not None else 2 * one
        promising = [t for t in self._open() if t.promising]
        if not promising:
            return self._fits(now + one * self._confirmation_seeds())
        return self._fits(now + self._price(promising[0]) + one * (1 + self._seeds))

    def _can_confirm(self, change: Plan) -> bool:
        """Whether a change could still be confirmed once it is screened; a longer one is advice where it cannot."""
        lab, cost = self._lab, self._lab.price(self._kept.changed_by(change))
        needed = cost * (1 + self._confirmation_seeds())
        if self._fits(needed):
            return True
        if cost > lab.price(self._kept) and str(change) not in self._too_dear:
            self._too_dear.add(str(change))
            lab.ledger.advise(f"{change} was not tried: to prove it takes a budget of {needed:.3g} trainings more")
        return False

    def _screen(self, change: Plan) -> None:
        from advisor.trial import Job

        lab, kept = self._lab, self._kept
        jobs: list[Job] = []
        if lab.known(kept, SCREEN) is None:
            jobs.append(Job(0, kept, SCREEN, lab.ledger.id))
        lab.train(jobs)
        plan = kept.changed_by(change)
        number = lab.ledger.next_number()
        trial = lab.ledger.start(Trial(number=number, plan=plan, stage="screen", seeds=(SCREEN,), against=kept))
        (run,) = lab.train([Job(number, plan, SCREEN, lab.ledger.id, self._rival(change))])
        assert lab.metric is not None  # set with the baseline
        before, after = lab.results(kept, [SCREEN]), [run.result(lab.metric)]
        if run.pruned:
            before = lab.at_the_same_epoch(kept, SCREEN, run)
        took = run.broken or run.took_effect()
        verdict = judge(before, after, [SCREEN], lab.metric, noise=self._noise, took_effect=took)
        note = f"stopped at epoch {run.epochs}" if run.pruned else "" if not run.broken else f"raised {run.error}"
        if run.cannot_apply:
            verdict = verdict.model_copy(update={"kind": "no_effect", "reason": run.cannot_apply})
            note = run.cannot_apply
            lab.ledger.advise(f"{change} cannot be applied here: {note}")
        hopeful = verdict.gain > 0 and verdict.kind not in ("failed", "no_effect")
        promising = hopeful and self._promising(verdict)
        whole = promising and not run.pruned and not run.broken
        said = (lab.diagnosis(run), lab.evidence(run)) if whole else (None, None)
        self.screened.append(Screened(change, verdict.gain, promising, *said))
        if hopeful:
            self._tried.append(Tried(number, change, verdict.gain, promising))
        lab.ledger.done(lab.row(trial, [run], note=note).model_copy(update={"verdict": verdict}))

    def _rival(self, change: Plan) -> Rival | None:
        """What the screening has to keep up with: the best run so far.

        None for a change of the length: halfway through a longer run is no place to compare. A schedule may begin
        slowly on purpose, so it is given half of the run.
        """
        parts = {part for step in change.steps for part in load_remedies()[step.remedy].changes}
        if "epochs" in parts:
            return None
        return self._lab.rival(self._leader(), SCREEN, self._noise, since=0.5 if "schedule" in parts else EARLIEST)

    def _leader(self) -> Plan:
        """The best plan that has run to its end on the screening seed: what is kept, or a change on top of it."""
        lab = self._lab
        assert lab.metric is not None  # set with the baseline
        kept = lab.known(self._kept, SCREEN)
        best, leader = -math.inf, self._kept
        for plan in (self._kept, *(self._kept.changed_by(t.change) for t in self._tried)):
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
        return verdict.gain > self._noise or all(lab.metric.sign * verdict.plan[0] > value for value in finals)

    # ---------------------------------------------------------------------------------------------------- confirming

    def _confirm(self, tried: Tried) -> bool:
        """True where the plan is accepted."""
        lab, plan = self._lab, self._kept.changed_by(tried.change)
        self._confirmed.append(tried.change)
        screened = next((t for t in lab.ledger.session.trials if t.number == tried.number), None)
        said = screened.verdict if screened is not None else None
        wanted = tuple(range(1, self._confirmation_seeds() + 1))
        trial = Trial(number=tried.number, plan=plan, stage="confirm", seeds=wanted, against=self._kept)
        lab.ledger.start(trial)
        verdict, runs = confirm(lab, trial, look=self._looks + 1, seeds=self._seeds)
        self._looks += 2 if len(runs) > len(wanted) else 1
        note = f"screened {said.gain:+.3g}" if said is not None else ""
        kept = verdict.kind == "helped"
        row = lab.row(trial, runs, note=note).model_copy(update={"verdict": verdict, "kept": kept})
        lab.ledger.done(row)
        if kept:
            lab.ledger.update(plan=plan)
            lab.ledger.tell(Accepted(plan, verdict))
        return kept

    def _decisive(self) -> Tried | None:
        """A repair of the leading fault that gains so clearly that nothing else need be looked at before.

        Where the wiring or the data are at fault, other remedies can only make up for it.
        """
        top = self._setting.diagnosis.top
        if top is None or top.rule not in self._lab.rules or self._lab.rules[top.rule].kind not in REPAIRED:
            return None
        for tried in sorted(self._open(), key=self._worth, reverse=True):
            repairs = any(step.remedy in top.remedies for step in tried.change.steps)
            if repairs and tried.promising and tried.gain > CLEARLY * self._noise and self._fits(self._price(tried)):
                return tried
        return None

    def _best(self) -> Tried | None:
        """The best change that is not confirmed yet and whose confirmation fits.

        Where nothing could be screened, a leftover of the stage before is taken at its word.
        """
        for tried in sorted(self._open(), key=self._worth, reverse=True):
            if self._fits(self._price(tried)):
                return tried
        if self.screened:
            return None
        for change in self._setting.leftovers:
            if change not in self._confirmed and strategies.fits(self._kept, change):
                tried = Tried(self._lab.ledger.next_number(), change, 0.0, promising=True)
                if self._fits(self._price(tried)):
                    return tried
        return None

    def _worth(self, tried: Tried) -> float:
        """Its gain, less what chance may add for each remedy beyond the first."""
        return tried.gain - ADDED * self._noise * (len(tried.change.steps) - 1)

    def _open(self) -> list[Tried]:
        return [t for t in self._tried if t.change not in self._confirmed]

    def _price(self, tried: Tried) -> float:
        return price(self._lab, self._kept.changed_by(tried.change), self._kept, self._confirmation_seeds())

    def _confirmation_seeds(self) -> int:
        return seeds_of(self._looks + 1, self._seeds)

    def _fits(self, cost: float) -> bool:
        return self._lab.budget.allows(cost, jobs=self._lab.jobs)


def _diagnose_again(lab: Laboratory, kept: Plan) -> tuple[Diagnosis, Evidence] | None:
    """Of a run of the kept plan, on the screening seed where there is one."""
    for seed in (SCREEN, 1):
        run = lab.known(kept, seed)
        if run is not None and not run.broken:
            diagnosis = lab.diagnosis(run)
            if diagnosis is not None:
                lab.ledger.update(after=diagnosis)
                lab.ledger.tell(Diagnosed(kept, diagnosis))
                return diagnosis, lab.evidence(run)
    return None
