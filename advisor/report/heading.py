"""A report -> its first lines: which run or session, how it ended, what it reached."""

from __future__ import annotations

import math
from statistics import fmean

from pydantic import ValidationError
from rich.text import Text

from advisor.errors import AdvisorError
from advisor.metric import Metric, Result, choose, result
from advisor.plan import Plan
from advisor.record import Record
from advisor.report import SessionReport
from advisor.report.wording import clean, duration, names, number, plan_text, spread
from advisor.session import FixSession

STATUS = {"finished": "green", "running": "cyan", "failed": "red"}  # the rest ended early on somebody's wish
GAP = "  "
PROBE = "probe."  # begins the name of a fact that an experiment left


def run_heading(record: Record) -> list[Text]:
    """Name and status; score; what went wrong with the run or with advisor."""
    info = record.info
    identity = [f"run {info.id}"] if info.id else []
    first = Text(clean(info.name) or "a run", style="bold")
    for part in [*identity, *([f"trial {info.trial}"] if info.trial is not None else [])]:
        first.append(GAP + part, style="not bold")
    first.append(GAP + info.status, style=f"not bold {STATUS.get(info.status, 'yellow')}")
    first.append(GAP + GAP.join(filter(None, (_epochs(record), _time(record)))), style="not bold")
    lines = [first, _score(record)]
    if info.error:
        lines.append(Text(clean(info.error), style="red"))
    plan = _plan(record)
    if plan:
        lines.append(Text(f"under the plan {plan_text(plan)}"))
    lines += [Text(f"inside advisor: {clean(problem)}", style="yellow") for problem in record.problems]
    return lines


def session_heading(report: SessionReport) -> list[Text]:
    """Name and status; the baseline over its seeds."""
    session = report.session
    first = Text(clean(session.name) or "a session", style="bold")
    first.append(f"{GAP}fix session {session.id}" if session.id else f"{GAP}fix session", style="not bold")
    first.append(GAP + session.status, style=f"not bold {STATUS.get(session.status, 'yellow')}")
    if session.strategy != "rules":
        first.append(f"{GAP}strategy {clean(session.strategy)}", style="not bold")
    lines = [first]
    if session.error:
        lines.append(Text(clean(session.error), style="red"))
    scores = baseline_scores(session)
    if not scores:
        return [*lines, Text("no baseline was measured", style="yellow")]
    seeds = f"{len(scores)} seeds" if len(scores) > 1 else "1 seed"
    baseline = Text("baseline", style="dim")
    for part in (seeds, f"{clean(session.metric)} {spread(scores)}", *_of_records(report)):
        baseline.append(GAP + part, style="not dim")
    return [*lines, baseline]


def baseline_scores(session: FixSession) -> tuple[float, ...]:
    """Final scores of the unchanged run, one a seed."""
    found = [trial.scores for trial in session.trials if trial.stage == "baseline" and trial.scores]
    return max(found, key=len) if found else session.final.baseline if session.final else ()


def reached(record: Record, metric: Metric | None = None) -> Result | None:
    """What the run reached, in the metric of its session or else in its own; None where that was never measured."""
    try:
        return result(record, metric or choose(record.series, record.info))
    except AdvisorError:
        return None


def _of_records(report: SessionReport) -> list[str]:
    """The best single epoch, on the seeds whose scores stand beside it, and the time of a run."""
    trials = [trial for trial in report.session.trials if trial.stage == "baseline" and trial.scores]
    seeds = max((trial.seeds for trial in trials), key=len, default=())
    records = [record for record in report.baseline if record.info.seed in seeds] or list(report.baseline)
    results = [found for x in records if (found := reached(x, Metric(report.session.metric, report.session.mode)))]
    best = [found.best for found in results if math.isfinite(found.best)]
    where = f"at epoch {results[0].best_epoch}" if len(results) == 1 else "on average"
    parts = [f"best {number(fmean(best))} {where}"] if best else []
    seconds = [record.info.seconds for record in report.baseline if math.isfinite(record.info.seconds)]
    return [*parts, f"{duration(fmean(seconds))} a run"] if seconds else parts


def _score(record: Record) -> Text:
    try:
        metric = choose(record.series, record.info)
        found = result(record, metric)
    except AdvisorError as error:
        hint = f": {clean(error.hint)}" if error.hint else ""
        return Text(f"no score: {clean(error.what)}{hint}", style="yellow")
    if math.isnan(found.best):
        return Text(f"{clean(metric.name)} was never finite", style="red")
    best = f"{GAP}best {number(found.best)} at epoch {found.best_epoch}"
    if math.isnan(found.final):
        return Text(clean(metric.name)).append(" has no final value: the run broke", style="red").append(best)
    return Text(f"{clean(metric.name)} {number(found.final)}{best}")


def _epochs(record: Record) -> str:
    seen, planned = record.epochs_seen, record.info.epochs
    unit = "windows of steps" if record.info.step_based else "epochs"
    return f"{seen} {unit}" if planned in (None, seen) or record.info.step_based else f"{seen} of {planned} {unit}"


def _time(record: Record) -> str:
    took = duration(record.info.seconds)
    return f"{took} on {clean(record.info.device)}" if took else f"on {clean(record.info.device)}"


def _plan(record: Record) -> Plan:
    try:
        return Plan.model_validate(record.info.plan or {})
    except ValidationError:
        return Plan()


def not_seen(missing: list[str]) -> str:
    """What rules lacked, each once, in order: so many that the count of rules stays a line or two."""
    plain = [f"the experiment {lack.removeprefix(PROBE)}" if lack.startswith(PROBE) else lack for lack in missing]
    return names(list(dict.fromkeys(plain)), most=3)
