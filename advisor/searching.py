"""A measured baseline -> a plan: screen changes on one seed, confirm the best on fresh seeds, keep, diagnose, again.

A stage goes from what is kept to the next plan that is accepted. Within it every change is tried on top of what is
kept, and compared with that; losers are stopped early.
"""

from __future__ import annotations

import dataclasses

from advisor import strategies
from advisor.baseline import Baseline
from advisor.confirming import MOST_LOOKS, confirm, price, seeds_of
from advisor.diagnosis import Diagnosis
from advisor.events import Accepted, Diagnosed
from advisor.evidence import Evidence
from advisor.final import hold_back
from advisor.finding import Finding
from advisor.laboratory import SCREEN, Laboratory
from advisor.metric import GAP
from advisor.plan import Plan
from advisor.screening import Screening, Tried
from advisor.session import Trial
from advisor.strategies import Screened, Setting, Strategy

REPAIRED = ("wiring", "data")  # kinds of rules whose fault a remedy takes away
ADDED = 2.0  # standard deviations that one more remedy has to bring: by chance in one of 12 (a difference of two runs)
CLEARLY = 3.0  # standard deviations of what is kept: by chance in one of 60 (a difference of two runs)


def search(lab: Laboratory, first: Baseline, *, strategy: str, seeds: int, force: bool) -> Plan:
    """Stage after stage until one accepts nothing or the budget ends; the plan that is kept."""
    repair = first.metric.name == GAP
    setting = Setting(Plan(), first.diagnosis, first.evidence, experience=lab.experience, force=force, repair=repair)
    while True:
        stage = _Stage(lab, setting, strategy, seeds=seeds)
        kept = stage.run()
        if kept is None:
            return setting.kept
        hold_back(lab, kept)
        found = _diagnose_again(lab, kept)
        if repair:
            lab.ledger.note(
                "the number is right with this plan; what else the run needs is for another session with it"
            )
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

    def __init__(self, lab: Laboratory, setting: Setting, strategy: str, *, seeds: int) -> None:
        self._lab, self._kept, self._seeds = lab, setting.kept, seeds
        self._screening = Screening(lab, setting.kept, seeds=seeds, leading=_repaired(lab, setting.diagnosis))
        self._too_dear: set[str] = set()  # changes that were advised instead of tried
        self._confirmed: list[Plan] = []
        self._exhausted = False
        self._looks = 0  # at p values, for which the level pays
        self._setting = dataclasses.replace(setting, affordable=self._affordable)
        self._strategy: Strategy = strategies.build(strategy, self._setting)

    def run(self) -> Plan | None:
        """Screen and confirm until a plan is accepted; None where nothing helps or nothing more fits."""
        while True:
            if self._looks >= MOST_LOOKS:
                return None
            follow = self._strategy.follow_up(self.screened)
            if follow is not None:
                if self._can_confirm(follow):
                    self._screening.screen([follow])
                continue
            repair = self._decisive()
            if repair is not None:
                if self._confirm(repair):
                    return self._kept.changed_by(repair.change)
            elif self._may_screen():
                self._screening.screen(self._next_changes())
            else:
                best = self._best()
                if best is None:
                    return None
                if self._confirm(best):
                    return self._kept.changed_by(best.change)

    @property
    def screened(self) -> list[Screened]:
        return self._screening.screened

    def leftovers(self) -> tuple[Plan, ...]:
        """Changes that looked promising and were not confirmed, best first."""
        rest = [t for t in self._open() if t.promising]
        return tuple(t.change for t in sorted(rest, key=lambda t: -t.gain))

    # ----------------------------------------------------------------------------------------------------- screening

    def _next_changes(self) -> list[Plan]:
        """As many as are trained at the same time, chosen before any of them is known."""
        changes: list[Plan] = []
        while len(changes) < self._lab.jobs and self._may_screen(beside=len(changes)):
            change = self._strategy.ask(self.screened)
            if change is None:
                self._exhausted = True
            elif self._can_confirm(change, beside=len(changes)):
                changes.append(change)
        return changes

    def _may_screen(self, *, beside: int = 0) -> bool:
        """Whether a screening still fits beside the confirmation that follows it.

        Once something promising is found, a second screening and confirmation are held back too, for what is composed
        with it. beside: screenings that are chosen and not yet paid for
        """
        if self._exhausted:
            return False
        one = self._lab.price(self._kept)
        now = (1 + beside + (self._lab.known(self._kept, SCREEN) is None)) * one
        promising = [t for t in self._open() if t.promising]
        if not promising:
            return self._fits(now + one * self._confirmation_seeds())
        return self._fits(now + self._price(promising[0]) + one * (1 + self._seeds))

    def _can_confirm(self, change: Plan, *, beside: int = 0) -> bool:
        """Whether a change could still be confirmed once it is screened; a longer one is advice where it cannot."""
        lab, cost = self._lab, self._lab.price(self._kept.changed_by(change))
        needed = cost * (1 + self._confirmation_seeds()) + beside * lab.price(self._kept)
        if self._fits(needed):
            return True
        if cost > lab.price(self._kept) and str(change) not in self._too_dear:
            self._too_dear.add(str(change))
            lab.ledger.advise(f"{change} was not tried: to prove it takes a budget of {needed:.3g} trainings more")
        return False

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
        """A change that gains so clearly that nothing else need be looked at before.

        It repairs the leading fault, where that lies in the wiring or the data and other remedies can only make up for
        it; or nothing is wrong with its run any more.
        """
        top = self._setting.diagnosis.top
        if top is None:
            return None
        repaired = _repaired(self._lab, self._setting.diagnosis) is not None
        for tried in sorted(self._open(), key=self._worth, reverse=True):
            answers = any(step.remedy in top.remedies for step in tried.change.steps)
            clear = tried.promising and tried.gain > CLEARLY * self._screening.noise
            if answers and clear and (repaired or tried.healthy) and self._fits(self._price(tried)):
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
            if change not in self._confirmed and strategies.adds(self._kept, change):
                tried = Tried(self._lab.ledger.next_number(), change, 0.0, promising=True)
                if self._fits(self._price(tried)):
                    return tried
        return None

    def _worth(self, tried: Tried) -> tuple[bool, float]:
        """Its gain; less what chance may add for each remedy beyond the first, unless its run is healthy by them.

        What was stopped early lost to one of those that were not, and comes after them.
        """
        more = 0 if tried.healthy else len(tried.change.steps) - 1
        return not tried.stopped, tried.gain - ADDED * self._screening.noise * more

    def _open(self) -> list[Tried]:
        return [t for t in self._screening.tried if t.change not in self._confirmed]

    def _price(self, tried: Tried) -> float:
        return price(self._lab, self._kept.changed_by(tried.change), self._kept, self._confirmation_seeds())

    def _confirmation_seeds(self) -> int:
        return seeds_of(self._looks + 1, self._seeds)

    def _affordable(self, plan: Plan) -> bool:
        """Whether a plan could be screened and confirmed with what is left."""
        return self._fits(self._lab.price(plan) * (1 + self._confirmation_seeds()))

    def _fits(self, cost: float) -> bool:
        return self._lab.budget.allows(cost, jobs=self._lab.jobs)


def _repaired(lab: Laboratory, diagnosis: Diagnosis) -> Finding | None:
    """The leading finding where it is of a fault that a remedy takes away; None where others make up for it as well."""
    rule = lab.rules.get(diagnosis.top.rule) if diagnosis.top is not None else None
    return diagnosis.top if rule is not None and rule.kind in REPAIRED else None


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
