"""The events of a fix session -> lines as they come, and on a terminal a bar below them that says what is under way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from advisor.events import Accepted, BaselineDone, Diagnosed, Event, Resumed, RunDone, TrialDone, TrialStarted
from advisor.report import load_report
from advisor.report.rows import rows
from advisor.report.text import WIDTH, render_text
from advisor.report.wording import clean, duration, number, plan_text, spread
from advisor.session import FixSession, Trial
from advisor.store import Store

SEEDS = 5  # with fewer an exact sign-flip test cannot reach p ≤ 0.05: 2⁻⁵ = 0.031
MOST_FINDINGS = 3  # while it runs; the report that follows has them all


class Follower:
    """Takes events as `on_event` of `advisor.fix`. A context manager: the bar goes when it is left."""

    def __init__(self, console: Console, budget: float) -> None:
        self._console = console
        self._began = time.monotonic()
        self._scored = False  # whether the metric is known: the first run is judged when it is over
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),  # leaves a line of 80 columns room for a plan
            TextColumn("{task.fields[spent]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=budget, spent="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case Resumed():
                done = f"{event.trainings} training{'s' * (event.trainings != 1)} that it had done are not repeated"
                self._say(Text(f"going on with session {event.session}: {done}", style="bold"))
            case TrialStarted():
                name = _name(event.number, event.stage, plan_text(event.plan))
                self._bar.update(self._task, description=f"{name}  {_seeds(len(event.seeds))}")
            case RunDone():
                self._run(event)
            case BaselineDone():
                scores = spread(event.trial.scores)
                line = f"baseline  {_seeds(len(event.trial.seeds))}   {clean(event.metric)} {scores}"
                self._say(Text(line, style="bold"))
            case Diagnosed():
                self._scored = True
                self._diagnosed(event)
            case TrialDone():
                self._trial(event.trial)
            case Accepted():
                self._bar.update(self._task, description=f"measuring {plan_text(event.plan)}")

    def _run(self, event: RunDone) -> None:
        spent = f"{event.spent:.3g} of {event.budget:g} trainings"
        self._bar.update(self._task, completed=event.spent, spent=spent)
        if not self._console.is_terminal:
            score = number(event.score) if event.score is not None else "not scored" if self._scored else ""
            parts = (f"seed {event.seed}", score, duration(event.seconds))
            so_far = duration(time.monotonic() - self._began)
            self._say(Text(f"          {'   '.join(filter(None, parts))}   ({spent}, {so_far})"))

    def _diagnosed(self, event: Diagnosed) -> None:
        where = f"with {plan_text(event.plan)}: " if event.plan else ""
        diagnosis = event.diagnosis
        if not diagnosis.findings:
            self._say(Text(f"diagnosis {where}{diagnosis.status.replace('_', ' ')}   {clean(diagnosis.reason)}"))
        for finding in diagnosis.findings[:MOST_FINDINGS]:
            line = Text(f"diagnosis {where}").append(finding.rule, style="bold red")
            self._say(line.append(f"  {finding.confidence:.2f}   {clean(finding.message)}"))

    def _trial(self, trial: Trial) -> None:
        if trial.stage == "baseline":
            return
        row = rows(FixSession(trials=(trial,)))[0]
        name = _name(trial.number, trial.stage, row.plan)
        parts = [name, _seeds(len(trial.seeds)), row.score, row.gain]
        line = Text("   ".join(part for part in parts if part)).append(f"   {row.verdict}", style=row.style)
        self._say(line.append(f"   {row.note}") if row.note else line)

    def _say(self, line: Text) -> None:
        self._console.print(line, soft_wrap=not self._console.is_terminal)


def fix_shown(
    script: Path,
    arguments: Sequence[str],
    *,
    budget: float,
    seconds: float | None = None,
    jobs: int | None = None,
    seeds: int = SEEDS,
    strategy: str = "rules",
    metric: str | None = None,
    plan_file: Path,
    force: bool = False,
    resume: bool = False,
    executor: str = "local",
    gpus_per_trial: float | None = None,
    console: Console,
) -> FixSession:
    """Fix a script, shown as it happens, then its report; the session. Raises: AdvisorError."""
    store = Store()
    with console.status("loading torch") if console.is_terminal else nullcontext():
        from advisor.fixing import fix
    with Follower(console, budget) as follower:
        found = fix(
            script,
            arguments=arguments,
            budget=budget,
            seconds=seconds,
            seeds=seeds,
            jobs=jobs,
            strategy=strategy,
            metric=metric,
            store=store,
            report=False,
            plan_file=plan_file,
            force=force,
            resume=resume,
            executor=executor,
            gpus_per_trial=gpus_per_trial,
            on_event=follower,
        )
    color = console.is_terminal
    text = render_text(load_report(store, session=found.session.id), console.width if color else WIDTH, color=color)
    console.file.write(f"\n{text}")
    console.file.flush()
    return found.session


def _name(number: int, stage: str, plan: str) -> str:
    return stage if stage == "baseline" else f"trial {number:<3} {stage:<7} {plan}"


def _seeds(count: int) -> str:
    return f"{count} seeds" if count > 1 else "1 seed"
