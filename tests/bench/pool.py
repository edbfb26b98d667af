"""Real trainings in, any number of verdicts out: an executor that trains nothing and hands out runs of a pool.

A verdict takes ten to twenty trainings, so that hundreds of them are out of reach. Here some dozens of real runs are
made once, by the local executor, and dealt out anew for each verdict or session, none of them twice within one. All
else is the real thing: `confirm`, `fix`, the laboratory, the store.

Nothing is lost by dealing the same runs again. The test asks whether plan and baseline can be told apart, and runs of
one pool that are dealt by chance cannot, whatever their scores look like: a deal is an exact null (or an exact gain),
and deals are independent of each other. What the pool has to bring is how real scores look: ties, tails and outliers.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from advisor.budget import Budget
from advisor.confirming import confirm
from advisor.diagnosis import Diagnosis
from advisor.executors.local import LocalExecutor
from advisor.finding import Finding
from advisor.laboratory import Laboratory
from advisor.ledger import Ledger
from advisor.metric import Metric, choose, result
from advisor.plan import Plan
from advisor.record import Record, RunInfo, Sample
from advisor.remedies import Parameters, Remedy, Session, load_remedies
from advisor.session import FixSession, Trial, Verdict
from advisor.store import Store
from advisor.trial import Job, Program, Ran

FAR = 1_000_003  # a prime; added to the script's seed, so that no trial's shift meets it
Source = Callable[[Plan, int], "Run"]


@dataclass(frozen=True, slots=True)
class Run:
    """What is handed out: the scalar series of a real run, each (E,), and its final score."""

    series: dict[str, NDArray[np.float64]]
    final: float


class Redrawn(Parameters):
    """key: which other draws;  weights: draw the initial weights anew too, and not the order of the batches alone."""

    key: int = 1
    weights: bool = True


def redraw(session: Session, parameters: Redrawn) -> None:
    """The plan that does nothing: the run goes on with other random numbers of the same distribution.

    An empty plan would repeat the baseline bit for bit on a matched seed, and could not be wrong.
    """
    torch.manual_seed(FAR * parameters.key)
    for module in session.model.modules() if parameters.weights else ():
        if isinstance(reset := getattr(module, "reset_parameters", None), Callable):
            reset()
    session.note("redraw", parameters.key)


def nothing(name: str, keys: Sequence[int] = (1,)) -> Remedy:
    """A remedy of that name that redraws; its candidates are these keys. It excludes no other."""
    module: Any = SimpleNamespace(
        candidates=lambda _diagnosis, _evidence: [Redrawn(key=key) for key in keys],
        apply=redraw,
        took_effect=lambda _record, _parameters: True,
    )
    return Remedy(name, "A page.", frozenset({name}), Redrawn, module)


@contextmanager
def added(*remedies: Remedy, alone: bool = False) -> Iterator[None]:
    """These remedies are known meanwhile. alone: and no others."""
    known = load_remedies()
    before = dict(known)
    if alone:
        known.clear()
    known.update({remedy.name: remedy for remedy in remedies})
    try:
        yield
    finally:
        known.clear()
        known.update(before)


# ---------------------------------------------------------------------------------------------------------- the pool


def train(
    program: Callable[[], object], plans: Sequence[Plan], seeds: Sequence[int], *, jobs: int = 1
) -> tuple[Metric, list[list[Run]]]:
    """Train a program really, under each plan on each seed; the metric, and the runs by plan and seed."""
    with tempfile.TemporaryDirectory() as folder:
        url = str(Path(folder) / "advisor.db")
        wanted = [Job(number, plan, seed, session=1) for number, plan in enumerate(plans) for seed in seeds]
        with LocalExecutor(Program(function=program), url, jobs=jobs) as executor:
            ran = {(r.job.number, r.job.seed): r for r in executor.run(wanted)}
        store = Store(url)
        records = [[_record(store, ran[number, seed]) for seed in seeds] for number in range(len(plans))]
        store.close()
    first = records[0][0]
    metric = choose(list(first.series), first.info)
    return metric, [[_run(record, metric) for record in row] for row in records]


def spread(runs: Sequence[Run]) -> float:
    """Standard deviation of the final scores."""
    return float(np.std([run.final for run in runs], ddof=1))


def shifted(run: Run, metric: Metric, gain: float) -> Run:
    """The same run, better by so much in every epoch."""
    better = run.series[metric.name] + metric.sign * gain
    return Run({**run.series, metric.name: better}, run.final + metric.sign * gain)


def _record(store: Store, ran: Ran) -> Record:
    if ran.run is None or ran.error is not None:
        raise RuntimeError(f"a run of the pool broke: {ran.error}\n{ran.tail}")
    return store.record(ran.run)


def _run(record: Record, metric: Metric) -> Run:
    kept = {n: s for n, s in record.series.items() if n == "train_loss" or (n.startswith("val_") and s.axis == ("",))}
    series = {name: s.values[:, 0].astype(np.float64) for name, s in kept.items()}
    return Run(series, result(record, metric).final)


# ------------------------------------------------------------------------------------------------------- dealing out


def unmatched(runs: Sequence[Run], rng: np.random.Generator) -> Source:
    """Every plan and seed gets a run of its own: what a plan is worth that shares nothing with the baseline."""
    deck = [runs[i] for i in rng.permutation(len(runs))]
    dealt: dict[tuple[str, int], Run] = {}

    def deal(plan: Plan, seed: int) -> Run:
        key = plan.model_dump_json(), seed
        if key not in dealt:
            dealt[key] = deck.pop()
        return dealt[key]

    return deal


def matched(baseline: Sequence[Run], plan: Sequence[Run], rng: np.random.Generator) -> Source:
    """Seeds are dealt out, and a plan's run stays beside the baseline's on the same seed."""
    order = rng.permutation(len(baseline))
    return lambda asked, seed: (plan if asked else baseline)[order[seed]]


class Dealt:
    """An executor over a source; each job leaves a record as a real run does, a loser's is cut where `watch` would."""

    def __init__(self, store: Store, source: Source, metric: Metric, diagnosis: Diagnosis | None = None) -> None:
        self._store, self._source, self._metric = store, source, metric
        self._diagnosis = diagnosis.model_dump_json() if diagnosis is not None else None

    def run(self, jobs: Iterable[Job]) -> Iterator[Ran]:
        for job in jobs:
            run = self._source(job.plan, job.seed)
            planned = len(run.series[self._metric.name])
            epochs = kept_epochs(self._metric.sign * run.series[self._metric.name], job)
            status = "finished" if epochs == planned else "pruned"
            info = RunInfo(
                name="pool", status=status, epochs=planned, session=job.session, trial=job.number, seed=job.seed
            )
            info = info.model_copy(update={"id": self._store.add_run(info)})
            rows = [
                Sample(name, "train" if name == "train_loss" else "val", epoch + 1, epoch, np.array([v], np.float32))
                for name, values in run.series.items()
                for epoch, v in enumerate(values[:epochs])
            ]
            self._store.write(info, rows, diagnosis=self._diagnosis)
            yield Ran(job, info.id, status, None, float(epochs), 0.0, Path(os.devnull))


def kept_epochs(scores: Sequence[float] | NDArray[np.float64], job: Job) -> int:
    """How many epochs a run with these scores (higher is better) makes against the job's rival."""
    if job.rival is None:
        return len(scores)
    behind = 0
    for epoch, score in enumerate(scores):
        behind = job.rival.behind(epoch, float(score), behind)
        if behind >= job.rival.patience:
            return epoch + 1
    return len(scores)


def confirmed(folder: Path, source: Source, metric: Metric, plan: Plan) -> Verdict:
    """The first confirmation of a session whose budget is no limit: five seeds, up to ten where these do not decide."""
    store = Store(str(folder / "advisor.db"))
    ledger = Ledger(store, FixSession(budget=math.inf))
    executor = Dealt(store, source, metric)
    lab = Laboratory(executor, store, Budget(math.inf), ledger, jobs=1, rules={}, thresholds={})
    lab.metric = metric
    lab.train([Job(0, Plan(), seed, ledger.id) for seed in range(1, 6)])  # as `fix` does before it tries anything
    verdict, _ = confirm(lab, Trial(number=1, plan=plan, stage="confirm", seeds=()), look=1, seeds=5)
    store.close()
    return verdict


def faulty(*remedies: str) -> Diagnosis:
    """A diagnosis that asks for these remedies."""
    finding = Finding(message="It could be better.", numbers=(), confidence=0.9, first_step="Improve it.", rule="fault")
    return Diagnosis(status="problems", findings=(finding.model_copy(update={"remedies": remedies}),))


def interval(hits: int, of: int) -> str:
    """ "3 of 200, 1.5 % (0.3 to 4.3)": with the exact binomial interval of 95 % (Clopper and Pearson 1934)."""
    from scipy.stats import binomtest

    low, high = binomtest(hits, of).proportion_ci(0.95, method="exact")
    return f"{hits} of {of}, {100 * hits / of:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
