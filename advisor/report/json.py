"""A report -> JSON that other programs can rely on; `Document` is the schema, and reads it back.

    schema      1; a field that changes its meaning or goes away makes it 2, a new field does not
    kind        "run" or "session"
    runs        the run; or those of the session's baseline and of the plan that it accepted, a run a seed
    diagnosis   of the run, or of the session's baseline; null where there is none
    session     everything that `advisor fix` tried, with its verdicts; null for a run

Each of `runs` has `role` ("run", "baseline" or "accepted"), `info` (what made it), `score` (null where nothing was
measured), `curves` (the scalar series by epoch: train_loss, val_loss, …), `facts` and `problems`. Series by step and by
layer stay in the store: `advisor.store.Store().record(id).layers`.

JSON has no number that is not finite: the strings "NaN", "Infinity" and "-Infinity" stand for them. In `facts` and in
parameters they stay strings when `Document` reads them back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from advisor.diagnosis import Diagnosis
from advisor.metric import Metric
from advisor.record import Json, Record, RunInfo
from advisor.report import Report, RunReport
from advisor.report.heading import reached
from advisor.session import FixSession


class Curve(BaseModel):
    """A scalar series by epoch. Both lists have the same length."""

    model_config = ConfigDict(frozen=True)

    epochs: tuple[int, ...]
    values: tuple[float, ...]


class Score(BaseModel):
    """What a run reached, in the metric's own unit; `final` is NaN where the run broke."""

    model_config = ConfigDict(frozen=True)

    metric: str
    mode: Literal["min", "max"]
    final: float
    best: float
    best_epoch: int


class Run(BaseModel):
    """One run without its series by step and by layer."""

    model_config = ConfigDict(frozen=True)

    role: Literal["run", "baseline", "accepted"]
    info: RunInfo
    epochs: int  # complete ones
    steps: int
    score: Score | None
    curves: dict[str, Curve]
    facts: dict[str, Json]
    problems: tuple[str, ...]


class Document(BaseModel):
    """The whole report."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    version: Literal[1] = Field(default=1, alias="schema")
    kind: Literal["run", "session"]
    runs: tuple[Run, ...]
    diagnosis: Diagnosis | None
    session: FixSession | None


def render_json(report: Report) -> str:
    """The report as JSON in ASCII, two spaces a level, keys always in the same order."""
    return dumps(document(report))


def document(report: Report) -> Document:
    """The report as the value that `render_json` writes."""
    if isinstance(report, RunReport):
        return Document(kind="run", runs=(_run(report.record, "run"),), diagnosis=report.diagnosis, session=None)
    metric = Metric(report.session.metric, report.session.mode)
    runs = [_run(record, "baseline", metric) for record in report.baseline]
    runs += [_run(record, "accepted", metric) for record in report.accepted]
    return Document(kind="session", runs=tuple(runs), diagnosis=report.diagnosis, session=report.session)


def dumps(document: Document) -> str:
    return json.dumps(_finite(document.model_dump(by_alias=True)), indent=2, allow_nan=False)


def _run(record: Record, role: Literal["run", "baseline", "accepted"], metric: Metric | None = None) -> Run:
    found = reached(record, metric)
    score = None
    if found is not None:
        name, mode = found.metric.name, found.metric.mode
        score = Score(metric=name, mode=mode, final=found.final, best=found.best, best_epoch=found.best_epoch)
    curves = {
        name: Curve(epochs=tuple(series.epochs.tolist()), values=tuple(series.values[:, 0].tolist()))
        for name, series in sorted(record.series.items())
        if series.axis == ("",) and series.phase in ("train", "val", "clean_train")
    }
    return Run(
        role=role,
        info=record.info,
        epochs=record.epochs_seen,
        steps=record.last_step,
        score=score,
        curves=curves,
        facts=dict(sorted(record.facts.items())),
        problems=record.problems,
    )


def _finite(value: object) -> Json:
    """A dumped model -> what JSON can hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
