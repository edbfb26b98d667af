"""Jobs in, measured runs out: no plan is trained twice on one seed, and the budget pays for each training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Protocol

import numpy as np

from advisor.assignment import Rival
from advisor.budget import Budget
from advisor.diagnosis import Diagnosis
from advisor.events import RunDone
from advisor.evidence import Evidence
from advisor.experience import experience
from advisor.independent import IN_CASE, SHARE
from advisor.ledger import Ledger
from advisor.measured import Measured
from advisor.metric import Metric, Result
from advisor.plan import Plan
from advisor.record import Record
from advisor.remedies import load_remedies
from advisor.resuming import Replay, noted, told_again
from advisor.rivals import floors
from advisor.rulebook import Rule
from advisor.session import Trial
from advisor.store import Store

if TYPE_CHECKING:
    from advisor.trial import Job, Ran

SCREEN = 0  # the program's own seeds, not shifted: what the user sees


class Executor(Protocol):
    """Whoever runs trainings: local processes, or anything else that gives one `Ran` for each job."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Ran]: ...


class Laboratory:
    """All runs of a session by plan and seed."""

    def __init__(
        self,
        executor: Executor,
        store: Store,
        budget: Budget,
        ledger: Ledger,
        *,
        jobs: int,
        rules: dict[str, Rule],
        thresholds: dict[str, dict[str, float]],
    ) -> None:
        self.store, self.budget, self.ledger, self.jobs = store, budget, ledger, jobs
        self.rules, self.thresholds = rules, thresholds
        self.metric: Metric | None = None  # known after the first baseline
        earlier = [(status, text) for number, status, text in store.session_documents() if number < ledger.id]
        self.experience = experience(text for status, text in earlier if status != "running")
        self._executor = executor
        self._past = Replay(ledger.session.trainings, ledger.session.seconds)
        self._known: dict[tuple[str, int], Measured] = {}
        self._baseline: Measured | None = None

    def train(self, jobs: Sequence[Job]) -> list[Measured]:
        """Run what is not known yet; everything that was asked for, in the order of `jobs`."""
        missing = [job for job in jobs if self.known(job.plan, job.seed) is None]
        repeated = self._past.take(missing)
        for job, training, cost in repeated:
            self.budget.go_on_from(training.elapsed)
            record = self.store.record(training.run) if training.run is not None else None
            if record is not None and training.facts:
                facts = {name: value for name, value in record.facts.items() if name in training.facts}
                record = dataclasses.replace(record, facts=facts)
            self._enter(Measured(told_again(training, job), record, training.cost, training.diagnosis), cost)
        given = {id(job) for job, _, _ in repeated}
        missing = [job for job in missing if id(job) not in given]
        if missing and self._past.trainings:
            self.budget.charge(self._past.rest())
            self.budget.go_on_from(max(self.budget.elapsed, self._past.elapsed))
            self._past.elapsed = 0.0
        judging = IN_CASE if self.metric is None else SHARE if self.metric.stands_in else 0.0
        missing = [dataclasses.replace(job, judging=judging) for job in missing]
        for ran in self._executor.run(missing) if missing else ():
            record = self.store.record(ran.run) if ran.run is not None else None
            measured = Measured(ran, record, self._cost(ran, record))
            self._note(measured)
            self._enter(measured, measured.cost)
        return [self._known[_key(job.plan, job.seed)] for job in jobs]

    def _enter(self, measured: Measured, cost: float) -> None:
        """Take what a training came to, and pay for it."""
        job = measured.ran.job
        if _opens(job):
            self._baseline = measured
            self.budget.training_seconds = measured.ran.seconds
        self._known[_key(job.plan, job.seed)] = measured
        self.budget.charge(cost)
        self.ledger.update(spent=self.budget.spent, seconds=self.budget.elapsed)
        self._tell(measured)

    def _note(self, measured: Measured) -> None:
        """Enter a training into the session's document, for a session that is interrupted and goes on."""
        training = noted(measured.ran, measured.cost, self.budget.elapsed)
        if _opens(measured.ran.job) and measured.record is not None:
            first = {"diagnosis": self.diagnosis(measured), "facts": tuple(measured.record.facts)}
            training = training.model_copy(update=first)
        self.ledger.update(trainings=(*self.ledger.session.trainings, training))

    def known(self, plan: Plan, seed: int) -> Measured | None:
        """The run of a plan on a seed; one that was stopped early is no measurement of it."""
        found = self._known.get(_key(plan, seed))
        return None if found is None or found.pruned else found

    def seeds_of(self, plan: Plan) -> list[int]:
        """Seeds on which a plan is known, in order."""
        name = plan.model_dump_json()
        return sorted(seed for of, seed in self._known if of == name and self.known(plan, seed) is not None)

    def all_of(self, plan: Plan) -> list[Measured]:
        """All complete runs of a plan, by seed."""
        return [self._known[_key(plan, seed)] for seed in self.seeds_of(plan)]

    def price(self, plan: Plan) -> float:
        """What one run of a plan costs, as its runs have shown; before that, as what it does to the epochs says."""
        name = plan.model_dump_json()
        seen = [m.cost for (of, _), m in self._known.items() if of == name and not m.pruned and not m.broken]
        if seen:
            return fmean(seen)
        known, cost = load_remedies(), 1.0
        planned = self._baseline.epochs if self._baseline is not None else 0
        for given in (step.parameters for step in plan.steps if "epochs" in known[step.remedy].changes):
            factor, epochs = given.get("factor"), given.get("epochs")
            if isinstance(factor, int | float):
                cost *= factor
            elif isinstance(epochs, int) and planned:
                cost *= epochs / planned
        return cost

    def results(self, plan: Plan, seeds: Iterable[int]) -> list[Result]:
        """What a plan reached on seeds that are all known."""
        assert self.metric is not None  # set before anything is compared
        return [self._known[_key(plan, seed)].result(self.metric) for seed in seeds]

    def noise(self, plan: Plan) -> float:
        """Standard deviation of a plan's scores over the fresh seeds; 0 where fewer than two are known."""
        metric = self.metric
        assert metric is not None  # set before anything is compared
        seeds = [seed for seed in self.seeds_of(plan) if seed > 0]
        finals = [r.final for r in self.results(plan, seeds) if math.isfinite(r.final)]
        return float(np.std(finals, ddof=1)) if len(finals) > 1 else 0.0

    def row(self, trial: Trial, runs: Sequence[Measured], *, note: str = "") -> Trial:
        """A trial with what its runs came to."""
        first, metric = self._baseline, self.metric
        took = fmean(m.seconds for m in runs)
        plain = [m.seconds for m in self.all_of(Plan()) if m is not first and not m.broken]  # without its probes
        usual = fmean(plain) if plain else first.seconds if first is not None else 0.0
        return trial.model_copy(
            update={
                "seeds": tuple(m.ran.job.seed for m in runs),
                "scores": tuple(m.result(metric).final for m in runs) if metric is not None else (),
                "runs": tuple(m.ran.run for m in runs if m.ran.run is not None),
                "cost": took / usual if usual > 0 else None,
                "epochs_cost": fmean(m.epochs for m in runs) / first.epochs if first and first.epochs else None,
                "note": note,
            }
        )

    def diagnosis(self, measured: Measured) -> Diagnosis | None:
        """What `watch` said of a run at its end; None for a run that left none."""
        if measured.said is not None:
            return measured.said
        text = self.store.diagnosis(measured.ran.run) if measured.ran.run is not None else None
        return Diagnosis.model_validate_json(text) if text else None

    def evidence(self, measured: Measured) -> Evidence:
        assert measured.record is not None  # asked of runs that came to their end
        return Evidence(measured.record)

    def rival(self, plan: Plan, seed: int, kept: Plan, *, since: float) -> Rival | None:
        """What a trial on this seed has to keep up with: a plan's run, from a share of its length on.

        kept: what the trial's change is on top of
        """
        known = self.known(plan, seed)
        if known is None or known.record is None or self.metric is None:
            return None
        found = known.result(self.metric)
        least = floors(self.metric.sign * found.values, self.noise(kept), since=since, of_another=plan != kept)
        by_epoch = {int(found.epochs[place]): floor for place, floor in least.items()}
        own = known.record.info.metric == self.metric.name  # the run knows its mode better than the name does
        return Rival(by_epoch, metric=None if own else self.metric.name) if by_epoch else None

    def at_the_same_epoch(self, plan: Plan, seed: int, run: Measured) -> list[Result]:
        """What a plan had reached on a seed when a run that was stopped early was stopped."""
        (whole,) = self.results(plan, [seed])
        stopped = run.result(whole.metric)
        if not len(stopped.epochs):
            return [whole]
        until = whole.epochs <= stopped.epochs[-1]
        return [dataclasses.replace(whole, final=float(whole.values[until][-1]) if until.any() else whole.final)]

    def _cost(self, ran: Ran, record: Record | None) -> float:
        """Epochs against the baseline's, since a plan may change the steps of one; optimizer steps where a loop counts
        them; the share of its time for a run that came to neither.
        """
        first = self._baseline
        if first is None or first.record is None:
            return 1.0
        whole = first.record
        if record is not None and not whole.info.step_based and record.epochs_seen and whole.epochs_seen:
            return record.epochs_seen / whole.epochs_seen
        if record is not None and record.last_step and whole.last_step:
            return record.last_step / whole.last_step
        return min(1.0, ran.seconds / first.ran.seconds) if first.ran.seconds > 0 else 1.0

    def _tell(self, measured: Measured) -> None:
        score = measured.result(self.metric).final if self.metric is not None else None
        shown = score if score is not None and math.isfinite(score) else None
        job, budget = measured.ran.job, self.budget
        self.ledger.tell(
            RunDone(job.number, job.plan, job.seed, shown, measured.seconds, budget.spent, budget.trainings)
        )


def _opens(job: Job) -> bool:
    """Whether it is a session's first run, which all others are measured in; one beside it may end before it."""
    return not job.plan and job.seed == SCREEN


def _key(plan: Plan, seed: int) -> tuple[str, int]:
    return plan.model_dump_json(), seed
