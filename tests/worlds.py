"""A world for tests of `fix`: programs that are tables of scores, remedies that are names, and who runs them."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from advisor.diagnosis import Diagnosis
from advisor.finding import Finding
from advisor.fixing import Fix, fix
from advisor.plan import Plan
from advisor.record import RunInfo, Sample
from advisor.remedies import Parameters, Remedy, load_remedies
from advisor.store import Store
from advisor.trial import Job, Ran

EPOCHS = 8
STEPS = 10  # an epoch

Given = Callable[..., None]  # the fixture `remedies`: called with those that there are to be


PAGE = '''"""A rule of a user's.

## What it does

It asks an experiment.

## Why it hurts

It does in this world.

## Example

None.

## When it is wrong

Never here.

## References

None.
"""

'''


class Strength(Parameters):
    """What every remedy of this world takes."""

    strength: float = 1.0


class Fraction(Parameters):
    fraction: float = 1.0


class Factor(Parameters):
    factor: float = 2.0


def remedy(
    name: str,
    part: str,
    values: Sequence[float] = (1.0,),
    *,
    took_effect: bool = True,
    parameters: type[Parameters] = Strength,
) -> Remedy:
    """A remedy that changes one part, with these candidates: values of the only field of its parameters."""
    (field,) = parameters.model_fields
    module: Any = SimpleNamespace(
        candidates=lambda _diagnosis, _evidence: [parameters(**{field: value}) for value in values],
        took_effect=lambda _record, _parameters: took_effect,
    )
    return Remedy(name, "A page.", frozenset({part}), parameters, module)


def only(monkeypatch: pytest.MonkeyPatch, *made: Remedy) -> None:
    """Make these the only remedies that there are."""
    known = load_remedies()
    for name in list(known):
        monkeypatch.delitem(known, name)
    for one in made:
        monkeypatch.setitem(known, one.name, one)


def change(name: str, strength: float = 1.0) -> Plan:
    """The plan of that remedy as its candidates give it."""
    return Plan.of(name, strength=strength)


def diagnosed(*remedies: str, rule: str = "fault", probes: tuple[str, ...] = ()) -> Diagnosis:
    """A diagnosis with one finding that these remedies answer."""
    finding = Finding(
        message="It is broken.", numbers=(), confidence=0.9, first_step="Repair it.", rule=rule, remedies=remedies
    )
    return Diagnosis(status="problems", findings=(finding.model_copy(update={"probes": probes}),))


HEALTHY = Diagnosis(status="healthy", reason="seen: everything")


def names(plan: Plan) -> list[str]:
    return [step.remedy for step in plan.steps]


def noise(plan: Plan, seed: int, size: float = 0.01) -> float:
    """The same for a plan and a seed in every run of the tests."""
    return float(np.random.default_rng([seed, *str(plan).encode()]).normal(0, size))


@dataclass
class World:
    """Runs jobs by looking them up. Scores are accuracies; each curve rises to its final score.

    score: plan, seed -> final score, or a text that the program raises
    diagnosis: plan -> what is stored with its run
    epochs: plan -> length of its runs
    """

    store: Store
    score: Callable[[Plan, int], float | str]
    diagnosis: Callable[[Plan], Diagnosis]
    epochs: Callable[[Plan], int] = lambda _plan: EPOCHS
    series: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"val_accuracy": 1.0, "val_loss": -1.0})
    info: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    jobs: list[Job] = dataclasses.field(default_factory=list)
    interrupt_at: int | None = None  # the number of the job that Ctrl-C hits
    interrupt: signal.Signals = signal.SIGINT  # or another signal in its place
    steps: Callable[[Plan], int] = lambda _plan: STEPS  # of an epoch

    def run(self, jobs: Iterable[Job]) -> Iterator[Ran]:
        for job in jobs:
            self.jobs.append(job)
            if len(self.jobs) == self.interrupt_at:
                signal.raise_signal(self.interrupt)
            yield self._one(job)

    def _one(self, job: Job) -> Ran:
        reached = self.score(job.plan, job.seed)
        log = Path(self.store.path or "").parent / "log.txt"
        log.write_text("line one\nValueError: bad luck\n")
        if isinstance(reached, str) and reached == "no_watch":
            return Ran(job, None, "no_watch", None, 1.0, 0.0, log)
        broken = reached if isinstance(reached, str) else None
        epochs = self.epochs(job.plan)
        status = "failed" if broken else "finished"
        curve = [0.0 if broken else float(reached) * (e + 1) / epochs for e in range(epochs)]
        if not broken and job.rival is not None:
            kept = _kept_epochs(curve, job)
            if kept < epochs:
                curve, status = curve[:kept], "pruned"
        info = RunInfo(
            name="world", status=status, error=broken, epochs=EPOCHS, session=job.session, trial=job.number,
            seed=job.seed, task="multiclass", plan=job.plan.model_dump(mode="json"), **self.info,
        )  # fmt: skip
        number = self.store.add_run(info)
        rows = [] if broken else [row for e, value in enumerate(curve) for row in self._rows(e, value, job)]
        stored = None if broken else self.diagnosis(job.plan).model_dump_json()
        self.store.write(info.model_copy(update={"id": number}), rows, diagnosis=stored)
        return Ran(job, number, status, broken, float(len(curve)), 0.0, log)

    def _rows(self, epoch: int, value: float, job: Job) -> list[Sample]:
        step = (epoch + 1) * self.steps(job.plan)
        loss = 1.0 / (epoch + 1) + job.seed / 1000
        found = [Sample("train_loss", "train", step, epoch, np.array([loss], np.float32))]
        for name, factor in self.series.items():
            found.append(Sample(name, "val", step, epoch, np.array([factor * value], np.float32)))
        return found

    def trainings(self, plan: Plan) -> int:
        """How often a plan was run."""
        return sum(job.plan == plan for job in self.jobs)


def program() -> None:
    """Stands for the user's function; the world knows what it reaches."""


def run(world: World, **options: Any) -> Fix:
    """The session of `fix` in that world."""
    return fix(program, store=world.store, executor=world, report=False, **options)


def gaining(store: Store, gains: dict[str, float], after: Diagnosis | None = None, **options: Any) -> World:
    """Accuracy 0.5 and what each remedy adds; diagnosed with a fault that all of them answer."""

    def score(plan: Plan, seed: int) -> float:
        return 0.5 + sum(gains[name] for name in names(plan)) + noise(plan, seed)

    def diagnosis(plan: Plan) -> Diagnosis:
        return after if plan and after is not None else diagnosed(*gains)

    return World(store, score, diagnosis, **options)


def _kept_epochs(curve: list[float], job: Job) -> int:
    assert job.rival is not None
    behind = 0
    for epoch, value in enumerate(curve):
        behind = job.rival.behind(epoch, value, behind)
        if behind >= job.rival.patience:
            return epoch + 1
    return len(curve)
