"""A fix session -> the rows of its table: every trial with its verdict, also what hurt and what made no difference."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from advisor.report.wording import clean, number, plan_text, signed, spread
from advisor.session import FixSession, Trial, Verdict

STYLES = {"helped": "green", "hurt": "red", "failed": "red", "no_effect": "yellow", "inconclusive": "yellow"}


@dataclass(frozen=True, slots=True)
class Row:
    """One trial as text, ready to print. `style` colours the verdict."""

    trial: Trial
    number: str
    plan: str
    seeds: str
    score: str
    gain: str
    p: str
    cost: str
    verdict: str
    note: str
    style: str


def rows(session: FixSession) -> list[Row]:
    """All trials but the baseline, which has a line of its own, in the order in which they ran."""
    return [_row(trial) for trial in session.trials if trial.stage != "baseline"]


def _row(trial: Trial) -> Row:
    verdict = trial.verdict
    kind = verdict.kind if verdict else ""
    scores = trial.scores or (verdict.plan if verdict else ())
    return Row(
        trial=trial,
        number="" if trial.stage == "control" else str(trial.number),
        plan=_plan(trial),
        seeds=str(len(trial.seeds)),
        score=spread(scores),
        gain=signed(verdict.gain, like=_scale(verdict)) if verdict and verdict.plan else "",
        p="" if verdict is None or verdict.p is None else number(verdict.p),
        cost="" if trial.cost is None else f"×{trial.cost:.1f}",
        verdict=_words(trial),
        note=clean(trial.note),
        style="bold green" if trial.kept else STYLES.get(kind, "dim"),
    )


def _scale(verdict: Verdict) -> float | None:
    return fmean(verdict.baseline) if verdict.baseline else None


def _plan(trial: Trial) -> str:
    shown = plan_text(trial.plan, trial.against)
    return f"{shown}, equal budget" if trial.stage == "control" else shown


def _words(trial: Trial) -> str:
    if trial.verdict is None:
        return {"control": "control", "probe": "experiment"}.get(trial.stage, "no verdict")
    words = trial.verdict.kind.replace("_", " ")
    if trial.stage == "screen" and trial.verdict.kind == "inconclusive":  # one seed, and a gain above the noise
        words = "fell behind" if trial.behind else "looks better"
    return f"{words} ◀ kept" if trial.kept else words
