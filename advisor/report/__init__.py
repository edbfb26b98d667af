"""The store -> what `advisor report` shows: one run, or one session of `advisor fix`. Nothing is judged here.

    report = load_report(store)          # what was written last
    print(render_text(report))           # advisor.report.text, .json, .tui: one file a way of showing it

A report opens without torch, pandas, scipy or scikit-learn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pydantic import ValidationError

from advisor.diagnosis import Diagnosis
from advisor.errors import AdvisorError, StoreError
from advisor.processes import gone
from advisor.record import Record
from advisor.session import FixSession, Trial
from advisor.store import Store


@dataclass(frozen=True, slots=True)
class RunReport:
    """One run and its diagnosis; None where nobody has diagnosed it."""

    record: Record
    diagnosis: Diagnosis | None = None


@dataclass(frozen=True, slots=True)
class SessionReport:
    """One session of `advisor fix`, with the records of its baseline and of the plan that it accepted, a run a seed."""

    session: FixSession
    baseline: tuple[Record, ...] = ()
    accepted: tuple[Record, ...] = ()

    @property
    def diagnosis(self) -> Diagnosis | None:
        """That of the baseline."""
        return self.session.diagnosis


Report = RunReport | SessionReport


def load_report(store: Store, run: int | None = None, session: int | None = None) -> Report:
    """A run or a session by its id; without one, what was written last.

    Raises: StoreError for an empty store, an unknown id or a document of another version.
    """
    if run is not None and session is not None:
        raise AdvisorError("expected a run or a session, found both", context="advisor report", hint="leave one out")
    if run is None and session is None:
        newest = store.newest()
        if newest is None:
            raise StoreError("the store is empty", hint="watch a run first: `advisor run train.py`")
        kind, number = newest
        return _run(store, number) if kind == "run" else _session(store, number)
    return _run(store, run) if run is not None else _session(store, session or 0)


def _run(store: Store, run: int) -> RunReport:
    text = store.diagnosis(run)
    try:
        diagnosis = Diagnosis.model_validate_json(text) if text else None
    except ValidationError as error:
        raise _other_version("the diagnosis", f"run {run}", error) from error
    record = store.record(run)
    if record.info.status == "running" and gone(record.info.pid, record.info.host, record.info.process):
        ended = record.info.model_copy(update={"status": "interrupted", "error": "its process is gone"})
        record = replace(record, info=ended)
    return RunReport(record, diagnosis)


def _session(store: Store, number: int) -> SessionReport:
    document = store.session_document(number)
    try:
        session = FixSession.model_validate_json(document).model_copy(update={"id": number})
        session = session.seen(store.heard_of(number))
    except ValidationError as error:
        raise _other_version("the document", f"session {number}", error) from error
    baseline = [trial for trial in session.trials if trial.stage == "baseline"]
    stored = {info.id for info in store.runs_of(number)}
    return SessionReport(
        session=session,
        baseline=tuple(store.record(run) for run in _runs(baseline) if run in stored),
        accepted=tuple(store.record(run) for run in _runs(_accepted(session)) if run in stored),
    )


def _accepted(session: FixSession) -> list[Trial]:
    """The trial that the session's plan comes from."""
    kept = [trial for trial in session.trials if trial.kept]
    return [trial for trial in kept if trial.plan == session.plan][-1:] or kept[-1:]


def _runs(trials: Iterable[Trial]) -> list[int]:
    """Each once: a baseline measured on more seeds keeps its first run."""
    return list(dict.fromkeys(run for trial in trials for run in trial.runs))


def _other_version(what: str, where: str, error: ValidationError) -> StoreError:
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    return StoreError(
        f"{what} cannot be read: {field}: {first['msg']}",
        context=where,
        hint="it was written by another version of advisor; run it again with this one",
    )
