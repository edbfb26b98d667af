"""A store -> one row a run and one row a fix session, as `advisor runs` lists them."""

from __future__ import annotations

import math
import time

from pydantic import BaseModel, ConfigDict
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from advisor.diagnosis import Diagnosis
from advisor.errors import AdvisorError
from advisor.metric import choose, result
from advisor.record import RunInfo
from advisor.report.wording import HOUR, MINUTE, clean, duration, number, plan_text, signed
from advisor.session import FixSession
from advisor.store import Store

MOST_ROWS = 20  # without --all: a screenful
DAY = 24 * HOUR  # s


class Run(BaseModel):
    """A row. best is the best single epoch of the run's metric."""

    model_config = ConfigDict(frozen=True)

    id: int
    name: str
    status: str
    error: str | None
    epochs: int
    planned: int | None
    metric: str | None
    best: float | None
    finding: str | None  # the first one; "healthy" or "not_enough_evidence" where there is none
    seconds: float | None
    started: float
    session: int | None


class Session(BaseModel):
    """A row."""

    model_config = ConfigDict(frozen=True)

    id: int
    name: str
    status: str
    metric: str
    plan: str
    gain: float | None
    trials: int
    seconds: float


class Listing(BaseModel):
    """What there is, oldest first; hidden: how many older runs were left out."""

    model_config = ConfigDict(frozen=True)

    runs: tuple[Run, ...]
    sessions: tuple[Session, ...]
    hidden: int = 0


def list_runs(store: Store, *, every: bool = False) -> Listing:
    """The runs and sessions in a store. every: no limit, and the runs of fix sessions too."""
    infos = store.run_infos(trials=every)
    shown = infos if every else infos[-MOST_ROWS:]
    sessions = [
        FixSession.model_validate_json(text).model_copy(update={"id": session})
        for session, _, text in store.session_documents()
    ]
    return Listing(
        runs=tuple(_run(store, info, diagnosis) for info, diagnosis in shown),
        sessions=tuple(map(_session, sessions if every else sessions[-MOST_ROWS:])),
        hidden=len(infos) - len(shown),
    )


def render(listing: Listing, now: float | None = None) -> RenderableType:
    """The listing as tables at the time `now` (s since 1970)."""
    now = time.time() if now is None else now
    if not listing.runs and not listing.sessions:
        return Text("no runs yet: make one with `advisor run train.py`")
    parts: list[RenderableType] = []
    if listing.runs:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("run", "name", "status", "epochs", "best", "first finding", "took", "when"):
            table.add_column(name, justify="right" if name in ("run", "epochs") else "left")
        for run in listing.runs:
            table.add_row(*(Text(clean(cell)) for cell in _cells(run, now)))
        parts.append(table)
    if listing.hidden:
        parts.append(Text(f"{listing.hidden} older: advisor runs --all", style="dim"))
    if listing.sessions:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("session", "name", "status", "trials", "plan", "gain", "took"):
            table.add_column(name, justify="right" if name in ("session", "trials") else "left")
        for row in listing.sessions:
            gain = "" if row.gain is None else f"{signed(row.gain)} {row.metric}"
            cells = (str(row.id), row.name, row.status, str(row.trials), row.plan, gain, duration(row.seconds))
            table.add_row(*(Text(clean(cell)) for cell in cells))
        parts += [Text(""), table, Text("look at one: advisor report --session N", style="dim")]
    return Group(*parts)


def ago(seconds: float) -> str:
    """How long ago, to one unit.

    >>> ago(30), ago(600), ago(7500), ago(200_000)
    ('just now', '10 min ago', '2 h ago', '2 d ago')
    """
    if seconds < MINUTE:
        return "just now"
    for unit, name, following in ((MINUTE, "min", HOUR), (HOUR, "h", DAY)):
        if seconds < following:
            return f"{int(seconds // unit)} {name} ago"
    return f"{int(seconds // DAY)} d ago"


def _cells(run: Run, now: float) -> tuple[str, ...]:
    of = f"/{run.planned}" if run.planned is not None else ""
    best = f"{number(run.best)} {run.metric}" if run.best is not None else ""
    took = duration(run.seconds) if run.seconds is not None else ""
    return (
        str(run.id),
        run.name,
        run.status if run.error is None else f"{run.status}: {run.error}",
        f"{run.epochs}{of}",
        best,
        (run.finding or "").replace("not_enough", "not enough").replace("_evidence", " evidence"),
        took,
        ago(now - run.started),
    )


def _run(store: Store, info: RunInfo, diagnosis: str | None) -> Run:
    record = store.record(info.id)
    metric, best = None, None
    try:
        chosen = choose(list(record.series), info)
        metric, best = chosen.name, result(record, chosen).best
    except AdvisorError:
        pass  # nothing was measured, or not what the user named: the row says so by leaving it out
    said = None if diagnosis is None else Diagnosis.model_validate_json(diagnosis)
    return Run(
        id=info.id,
        name=info.name,
        status=info.status,
        error=info.error,
        epochs=record.epochs_seen,
        planned=info.epochs,
        metric=metric,
        best=best if best is not None and math.isfinite(best) else None,
        finding=None if said is None else said.top.rule if said.top is not None else said.status,
        seconds=info.seconds if math.isfinite(info.seconds) else None,
        started=info.started,
        session=info.session,
    )


def _session(session: FixSession) -> Session:
    return Session(
        id=session.id,
        name=session.name,
        status=session.status,
        metric=session.metric,
        plan=plan_text(session.plan) if session.plan else "none",
        gain=session.final.gain if session.final is not None and session.plan else None,
        trials=len(session.trials),
        seconds=session.seconds,
    )
