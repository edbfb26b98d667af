"""A store -> one row a run and one row a fix session, as `advisor runs` lists them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from advisor.diagnosis import Diagnosis
from advisor.errors import AdvisorError
from advisor.metric import choose, result
from advisor.processes import gone
from advisor.record import Phase, RunInfo
from advisor.report.wording import HOUR, MINUTE, clean, duration, number, plan_text, signed
from advisor.session import FixSession
from advisor.store import Store

MOST_ROWS = 20  # without --all: a screenful
DAY = 24 * HOUR  # s
ROOMY = 100  # columns from which the tables can afford two spaces between columns
NUMBERS = ("run", "session", "epochs", "trials")  # columns that are set to the right
BY_EPOCH: tuple[Phase, ...] = ("train", "val", "clean_train", "log")  # what a metric is chosen from; steps are many


class Run(BaseModel):
    """A row. best is the best single epoch of the run's metric; status is "died" where the process is gone."""

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
    """A row. trials: without the baseline."""

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
    documents = store.session_documents()
    sessions = [_read(store, number, text) for number, _, text in (documents if every else documents[-MOST_ROWS:])]
    return Listing(
        runs=tuple(_run(store, info, diagnosis) for info, diagnosis in shown),
        sessions=tuple(map(_session, sessions)),
        hidden=len(infos) - len(shown),
    )


def render(listing: Listing, now: float | None = None) -> RenderableType:
    """The listing as tables at the time `now` (s since 1970)."""
    now = time.time() if now is None else now
    if not listing.runs and not listing.sessions:
        return Text("no runs yet: make one with `advisor run train.py`")
    parts: list[RenderableType] = []
    if listing.runs:
        rows = [_cells(run, now) for run in listing.runs]
        names = [name for name in rows[0] if name != "session" or any(row[name] for row in rows)]
        parts.append(_Columns(names, [[row[name] for name in names] for row in rows]))
    if listing.hidden:
        parts.append(Text(f"{listing.hidden} older: advisor runs --all", style="dim"))
    if listing.runs and listing.sessions:
        parts.append(Text(""))
    if listing.sessions:
        rows = [_session_cells(session) for session in listing.sessions]
        parts.append(_Columns(list(rows[0]), [list(row.values()) for row in rows]))
    ways = [way for way, there in (("N", listing.runs), ("--session N", listing.sessions)) if there]
    return Group(*parts, Text(f"look at one: advisor report {' or '.join(ways)}", style="dim"))


@dataclass(frozen=True, slots=True)
class _Columns:
    """A table that closes up on a narrow terminal."""

    names: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        gap = 2 if options.max_width >= ROOMY else 1
        table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")
        for name in self.names:
            table.add_column(name, justify="right" if name in NUMBERS else "left")
        for row in self.rows:
            table.add_row(*(Text(clean(cell)) for cell in row))
        yield table


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


def _cells(run: Run, now: float) -> dict[str, str]:
    of = f"/{run.planned}" if run.planned is not None else ""
    return {
        "run": str(run.id),
        "session": "" if run.session is None else str(run.session),
        "name": run.name,
        "status": run.status if run.error is None else f"{run.status}: {run.error}",
        "epochs": f"{run.epochs}{of}",
        "best": f"{number(run.best)} {run.metric}" if run.best is not None else "",
        "first finding": (run.finding or "").replace("not_enough_evidence", "not enough evidence"),
        "took": duration(run.seconds) if run.seconds is not None else "",
        "when": ago(now - run.started),
    }


def _session_cells(session: Session) -> dict[str, str]:
    return {
        "session": str(session.id),
        "name": session.name,
        "status": session.status,
        "trials": str(session.trials),
        "plan": session.plan,
        "gain": "" if session.gain is None else f"{signed(session.gain)} {session.metric}",
        "took": duration(session.seconds),
    }


def _run(store: Store, info: RunInfo, diagnosis: str | None) -> Run:
    record = store.record(info.id, phases=BY_EPOCH)
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
        status="died" if info.status == "running" and gone(info.pid, info.host, info.process) else info.status,
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


def _read(store: Store, number: int, document: str) -> FixSession:
    session = FixSession.model_validate_json(document).model_copy(update={"id": number})
    return session.seen(store.heard_of(number))


def _session(session: FixSession) -> Session:
    return Session(
        id=session.id,
        name=session.name,
        status=session.status,
        metric=session.metric,
        plan=plan_text(session.plan) if session.plan else "none",
        gain=session.final.gain if session.final is not None and session.plan else None,
        trials=sum(trial.stage != "baseline" for trial in session.trials),
        seconds=session.seconds,
    )
