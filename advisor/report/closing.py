"""A report -> its last lines: what a session came to, where the plan is, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from advisor.diagnosis import Diagnosis
from advisor.metric import MEANING
from advisor.report.findings import label
from advisor.report.heading import baseline_scores
from advisor.report.wording import clean, duration, names, number, signed, spread
from advisor.session import FixSession, Start, Trial

COLUMN = 10  # width of the labels "plan", "as code", "look"
PLAN = ".toml"  # by which `advisor apply` tells a plan from a script


def next_steps(diagnosis: Diagnosis | None, script: str) -> Iterator[RenderableType]:
    """What to type next, after a run."""
    name = script or "train.py"
    if diagnosis is None:
        return
    if diagnosis.top is not None:
        yield _Line("fix", f"advisor fix {name}", "tries remedies, keeps what matched seeds prove")
        yield _Line("why", f"advisor explain {clean(diagnosis.top.rule)}")
    yield _Line("look", "advisor report")


def session_closing(session: FixSession) -> Iterator[RenderableType]:
    """What came of it and what it cost; what is left; what could not be tried."""
    spent = f"{session.spent:.3g} of {session.budget:g} trainings"
    took = ", ".join(filter(None, (spent, duration(session.seconds))))
    yield outcome(session).append(f". {took}. {_others(session)}".rstrip(), style="not bold")
    if session.after is not None and session.plan:
        left = names([finding.rule for finding in session.after.findings])
        status = session.after.status.replace("_", " ")
        yield label("with the plan", f"still {left}" if left else status)
    for text in session.advice:
        yield label("advice", clean(text))
    for text in session.notes:
        yield label("note", clean(text))


def session_plan(session: FixSession) -> Iterator[RenderableType]:
    """How to go on with it; where the plan is and how to use it; nothing to use where none was accepted."""
    if session.status == "interrupted" and session.start is not None:
        yield _Line("go on", clean(_resuming(session.command, session.start)))
    if session.plan:
        path = clean(session.plan_file or "")
        if path:
            yield _Line("plan", path)
            yield _Line("use it", f'advisor.watch(..., plan="{path}")')
            if session.command and path.endswith(PLAN):
                words = [path, session.command[0], *_arguments(session.command)]
                remark = "prints what can be written of it, proven"
                yield _Line("as code", shlex.join(["advisor", "apply", *map(clean, words)]), remark)
    yield _Line("look", "advisor report")


def _resuming(command: tuple[str, ...], start: Start) -> str:
    """What to type to go on; a function has no command."""
    if not command:
        return "advisor.fix(..., resume=True)"
    options = [] if start.strategy == "rules" else ["--strategy", start.strategy]
    options += [] if start.metric is None else ["--metric", start.metric]
    options += [] if start.plan_file == Start.model_fields["plan_file"].default else ["--plan", start.plan_file]
    return shlex.join(["advisor", "fix", command[0], "--resume", *options, *_arguments(command)])


def _arguments(command: tuple[str, ...]) -> list[str]:
    """Those of the script, as the command line takes them."""
    return ["--", *command[1:]] if command[1:] else []


def outcome(session: FixSession) -> Text:
    """What came of a session, without the full stop: "0.842 → 0.921 on seeds that chose nothing (p 0.031)"."""
    final = session.final
    if session.plan and final is not None and final.baseline and final.plan:
        judge = f"{session.metric} " if session.metric in MEANING else ""  # a number that is not the program's own
        line = Text(f"{judge}{number(fmean(final.baseline))} → {number(fmean(final.plan))}", style="bold")
        words = [] if final.kind == "helped" else [final.kind.replace("_", " ")]
        words += [] if final.p is None else [f"p {number(final.p)}"]
        remark = f" ({', '.join(words)})" if words else ""
        return line.append(f" on seeds that chose nothing{remark}", style="not bold")
    if session.plan:
        return Text("A plan was accepted, but not yet measured on fresh seeds")
    if session.status == "running":
        return Text("Nothing has been accepted yet")
    score = spread(baseline_scores(session))
    return Text("Nothing was accepted", style="bold").append(f"; the run stays at {score}" if score else "", "not bold")


def _others(session: FixSession) -> str:
    """Whether anything else helped, said only where something else was tried. Not confirmed is not "did not help"."""
    rest = [t for t in session.trials if t.stage in ("screen", "confirm") and not t.kept and t.verdict is not None]
    left_out = [t for t in rest if not all(step in session.plan.steps for step in t.plan.steps)]
    helped = [t for t in left_out if t.verdict is not None and t.verdict.kind == "helped"]
    better = [t for t in left_out if t.verdict is not None and t.verdict.kind == "inconclusive" and t.verdict.gain > 0]
    unsure = [t for t in better if not t.behind]
    if helped:
        return f"{len(helped)} more helped but were not kept."
    if unsure:
        return f"{len(unsure)} more looked better, but {'was' if len(unsure) == 1 else 'were'} not confirmed."
    return "Nothing else did better." if better else "Nothing else helped." if rest else ""


def trial_details(trial: Trial, metric: str) -> Iterator[RenderableType]:
    """What a row of the table has no room for: the plan's parameters, each seed's scores, why the verdict."""
    against = f"against {trial.against}" if trial.against else "against the plain run"
    yield Text(clean(str(trial.plan)), style="bold").append(f"   {trial.stage}, {clean(against)}", style="not bold dim")
    verdict = trial.verdict
    if verdict is not None:
        scale = fmean(verdict.baseline) if verdict.baseline else None
        noise = "" if verdict.noise is None else f"   baseline's noise {number(verdict.noise, like=scale)}"
        p = "" if verdict.p is None else f"   p {number(verdict.p)}"
        words = verdict.kind.replace("_", " ")
        yield label("verdict", f"{words}   gain {signed(verdict.gain, like=scale)}{p}{noise}")
        if verdict.reason:
            yield label("why", clean(verdict.reason))
        for seed, before, after in zip(verdict.seeds, verdict.baseline, verdict.plan, strict=False):
            yield Text(f"  seed {seed}   {clean(metric)} {number(before)} → {number(after)}")
    else:
        yield label(clean(metric), spread(trial.scores) or "not measured")
    if trial.note:
        yield label("note", clean(trial.note))
    if trial.runs:
        yield label("runs", names([str(run) for run in trial.runs], most=10))  # 10: ids are short


@dataclass(frozen=True, slots=True)
class _Line:
    """A label and what to type; a remark beside it where there is room."""

    name: str
    command: str
    remark: str = ""

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        line = Text(f"{self.name:<{COLUMN}}", style="dim").append(self.command, style="not dim cyan")
        remark = f"   {self.remark}" if self.remark else ""
        yield line.append(remark, style="not dim") if line.cell_len + len(remark) <= options.max_width else line
