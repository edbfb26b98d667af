"""`advisor.fix`: a training program in; diagnosed, remedies tried, and the plan out that matched seeds prove.

fix = advisor.fix("train.py", budget=20)
fix.plan                    # what to give to advisor.watch(..., plan=...); false where nothing helped
fix.table()                 # every trial with its verdict
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from advisor import executors
from advisor import plan_file as files
from advisor.baseline import Baseline, advice, experiments, first_run, on_fresh_seeds, unjudged
from advisor.budget import Budget
from advisor.config import load_config, rules_in_force
from advisor.errors import AdvisorError
from advisor.events import Event, Resumed
from advisor.final import conclude
from advisor.fixed import Fix
from advisor.laboratory import Executor, Laboratory
from advisor.ledger import Ledger
from advisor.plan import Plan
from advisor.probes import known_probes
from advisor.report import load_report
from advisor.report.text import render_text
from advisor.resuming import begun, resumed
from advisor.searching import search
from advisor.session import Start
from advisor.store import Store
from advisor.strategies import known_strategies
from advisor.verdict import FEWEST_SEEDS, MOST_SEEDS

if TYPE_CHECKING:
    from advisor.program import Program


def fix(
    program: Callable[[], object] | str | Path,
    *,
    arguments: Sequence[str] = (),
    budget: float = 20,  # DESIGN: six baselines, a few screenings, a confirmation on five seeds, and a second one
    seconds: float | None = None,
    seeds: int = FEWEST_SEEDS,
    jobs: int | None = 1,
    strategy: str = "rules",
    metric: str | None = None,
    store: str | Path | Store | None = None,
    report: bool = True,
    plan_file: str | Path | None = None,
    force: bool = False,
    on_event: Callable[[Event], None] | None = None,
    executor: Executor | str = "local",
    gpus_per_trial: float | None = None,
    resume: bool = False,
) -> Fix:
    """Diagnose a training program, try remedies, and keep what matched seeds prove.

    program:   a script, or a function without arguments, that trains under `advisor.watch`
    arguments: of the script
    budget:    in trainings of the program's length, baselines and confirmations included
    seconds:   at most this long
    seeds:     matched seeds that a confirmation rests on, at least five
    jobs:      trainings at the same time; None for as many as the executor has cores for
    strategy:  "rules", "tpe" or "random"
    metric:    what to improve; by default the program's own, or the one in which the first finding shows
    plan_file: where the accepted plan is written; advisor-plan.toml by default
    force:     try remedies on a healthy program too
    on_event:  called as things happen
    executor:  who runs the trainings: "local" processes, "ray", or an object that gives one `Ran` for each `Job`
    gpus_per_trial: for the ray executor, may be a fraction; None for one each where there are any
    resume:    go on with the last session of this program that was interrupted, with the same arguments, strategy and
               metric; it tries what it would have tried, whatever `jobs` is now, and keeps the budget, seconds, seeds
               and force that it was begun with

    Ctrl-C or SIGTERM ends it early: what was kept until then is returned, `fix.session.status` is "interrupted".
    Raises: AdvisorError; ScriptError where the unchanged program raises or never calls `advisor.watch`.
    """
    path = Path(plan_file) if plan_file is not None else files.DEFAULT
    _check(budget, seconds, seeds, strategy)
    if isinstance(executor, str):
        executors.check_executor(executor)
    files.check_free(path)
    config = load_config()
    rules = rules_in_force(config)
    kept_open = isinstance(store, Store)
    opened = store if isinstance(store, Store) else Store(str(store) if store is not None else None)
    what, command = _program(program, arguments)
    asked = Start(
        program=what.where, fingerprint=what.fingerprint, arguments=command[1:], strategy=strategy, metric=metric,
        budget=budget, seconds=seconds, seeds=seeds, force=force, plan_file=str(path),
    )  # fmt: skip
    try:
        session = resumed(opened, asked) if resume else begun(what.name, command, asked)
        start = session.start or asked
        ready = _executor(executor, what, opened, jobs=jobs, seconds=start.seconds, gpus_per_trial=gpus_per_trial)
        with _terminated_as_interrupted(), ready as (runs, at_once):
            ledger = Ledger(opened, session, on_event)
            if session.trainings:
                ledger.tell(Resumed(session.id, len(session.trainings)))
            spending = Budget(start.budget, start.seconds)
            abreast = start.jobs or at_once
            ledger.update(start=start.model_copy(update={"jobs": abreast}))
            lab = Laboratory(runs, opened, spending, ledger, jobs=abreast, rules=rules, thresholds=config.thresholds)
            _session(lab, start, path)
        done = Fix(ledger.session, tuple(m.result(lab.metric) for m in lab.all_of(Plan()) if lab.metric is not None))
        if report:
            print(render_text(load_report(opened, session=ledger.id)))
    finally:
        if not kept_open:
            opened.close()
    return done


def _session(lab: Laboratory, start: Start, path: Path) -> None:
    """Everything between the first run and the plan's file. The ledger's status says how it ended."""
    ledger = lab.ledger
    status = "finished"
    try:
        fresh = range(1, start.seeds + 1)
        first = first_run(lab, metric=start.metric, probes=known_probes(), fresh=fresh)
        if not _left_alone(lab, first, start.metric, force=start.force):
            on_fresh_seeds(lab, first, fresh)
            first = experiments(lab, first, fresh)
            for text in advice(first.diagnosis):
                ledger.advise(text)
            search(lab, first, strategy=start.strategy, seeds=start.seeds, force=start.force)
            conclude(lab)
            _say_what_it_takes(lab, start.seeds)
    except KeyboardInterrupt:
        status = "interrupted"
        conclude(lab, controls=False)
    except BaseException as error:
        ledger.update(status="failed", error=f"{type(error).__name__}: {error}", seconds=lab.budget.elapsed)
        raise
    if ledger.session.plan:
        try:
            files.write(ledger.session, path)
            ledger.update(plan_file=str(path))
        except AdvisorError as error:
            ledger.note(str(error))
    ledger.update(status=status, seconds=lab.budget.elapsed)


def _say_what_it_takes(lab: Laboratory, seeds: int) -> None:
    """Where the baseline has used the budget up, what a remedy would need."""
    tried = any(trial.stage != "baseline" for trial in lab.ledger.session.trials)
    if not tried and not lab.budget.allows(1 + seeds, jobs=lab.jobs):
        lab.ledger.note(
            f"nothing was tried: the budget went into the baseline, and a remedy takes {1 + seeds} trainings more, one "
            f"to screen it and {seeds} to confirm it"
        )


def _left_alone(lab: Laboratory, first: Baseline, metric: str | None, *, force: bool) -> bool:
    """Whether nothing is to be tried, said in the session's notes."""
    note = lab.ledger.note
    assert first.run.record is not None  # it came to its end
    cannot = unjudged(first.metric, metric, first.run.record, first.diagnosis)
    for text in advice(first.diagnosis):
        lab.ledger.advise(text)
    if cannot:
        note(cannot)
        return True
    if first.diagnosis.status == "problems" or force:
        return False
    if first.diagnosis.status == "healthy":
        note("the run is healthy, so it is left alone; --force (force=True) tries remedies all the same")
    else:
        note(f"not enough evidence, so nothing was tried: {first.diagnosis.reason}")
    return True


def _check(budget: float, seconds: float | None, seeds: int, strategy: str) -> None:
    if not FEWEST_SEEDS <= seeds <= MOST_SEEDS:
        raise AdvisorError(
            f"expected {FEWEST_SEEDS} to {MOST_SEEDS} seeds, found {seeds}",
            context="seeds",
            hint="fewer than five matched seeds cannot reach p <= 0.05, whatever they show",
        )
    if not budget >= 1 or (seconds is not None and not seconds > 0):
        limit = "" if seconds is None else f" and {seconds:g} s"
        raise AdvisorError(
            f"expected a budget of one training at least and more than 0 s, found {budget:g} trainings{limit}",
            context="budget, seconds",
            hint="a diagnosis takes one training, five other seeds five, and a remedy six: 20 is usual",
        )
    if strategy not in known_strategies():
        raise AdvisorError(
            f"there is no strategy {strategy!r}", context="strategy", hint=f"use one of {', '.join(known_strategies())}"
        )


def _program(program: Callable[[], object] | str | Path, arguments: Sequence[str]) -> tuple[Program, tuple[str, ...]]:
    from advisor.program import Program

    if callable(program):
        return Program(script=None, function=program), ()
    made = Program.from_script(Path(program), tuple(arguments))
    return made, (str(program), *arguments)


@contextmanager
def _executor(
    executor: Executor | str,
    program: Program,
    store: Store,
    *,
    jobs: int | None,
    seconds: float | None,
    gpus_per_trial: float | None,
) -> Iterator[tuple[Executor, int]]:
    """Who runs the trainings, and how many of them at the same time."""
    if not isinstance(executor, str):
        yield executor, jobs or os.cpu_count() or 1
        return
    url = str(store.path) if store.path is not None else store.url
    with executors.build(
        executor, program, url, jobs=jobs, time_limit=seconds, gpus_per_trial=gpus_per_trial
    ) as running:
        yield running, running.jobs


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM, and the terminal's end, end a session as Ctrl-C does: complete, and with what was kept so far."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    taken = [known for known in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(known) is signal.SIG_DFL]
    for known in taken:
        signal.signal(known, stop)
    try:
        yield
    finally:
        for known in taken:
            signal.signal(known, signal.SIG_DFL)
