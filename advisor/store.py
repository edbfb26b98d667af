"""Records -> a database that another process can read while training writes (SQLAlchemy Core; SQLite in WAL mode).

`ADVISOR_STORE` names the database: a path, or a URL such as `postgresql+psycopg://…`; `.advisor/advisor.db` by default.
"""

from __future__ import annotations

import json
import os
import threading
import time
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from advisor import database
from advisor.errors import StoreError
from advisor.record import Json, Phase, Record, RunInfo, Sample, gather
from advisor.schema import SCHEMA_VERSION, axes, facts, meta, metadata, runs, samples, sessions

_stores: weakref.WeakSet[Store] = weakref.WeakSet()
_one_at_a_time = threading.RLock()  # a transaction of this process, or a fork


@contextmanager
def forking() -> Iterator[None]:
    """No transaction is under way and no connection is open while it lasts, in any thread: fork inside.

    A child inherits SQLite's notes of the locks that its parent holds, but not the locks. With a connection open across
    the fork, the parent's closing it deleted the log that the child was writing to, and its rows were lost.
    """
    with _one_at_a_time:
        for store in list(_stores):
            store.close()
        yield


def default_url() -> str:
    """The store that `ADVISOR_STORE` names, or `.advisor/advisor.db` below the working directory."""
    return os.environ.get("ADVISOR_STORE") or str(Path.cwd() / ".advisor" / "advisor.db")


class Store:
    """One open database. Every method is one transaction and raises `StoreError` with the next move.

    create: make the file and its tables where they are missing; otherwise a missing file is an error.
    """

    def __init__(self, url: str | None = None, *, create: bool = True) -> None:
        self.url = url or default_url()
        self.path = None if "://" in self.url else Path(self.url).absolute()
        self.engine = database.open_url(self.url) if self.path is None else database.open_file(self.path, create=create)
        # Python 3.13 warns of a connection that nobody closed. Not at exit: a user's fork would close its parent's.
        weakref.finalize(self, self.engine.dispose).atexit = False
        _stores.add(self)
        self._check_schema(create=create)

    # ------------------------------------------------------------------------------------------------ writing

    def check_writable(self) -> None:
        """Write nothing new: whoever is about to train for hours learns now that the store is locked or read-only."""
        with self._transaction() as connection:
            connection.execute(sa.update(meta).values(value=meta.c.value))

    def add_run(self, info: RunInfo) -> int:
        """Insert a run; its id."""
        with self._transaction() as connection:
            row = {"session": info.session, "trial": info.trial, "status": info.status, "updated": time.time()}
            result = connection.execute(sa.insert(runs).values(**row, info=info.model_dump_json(), problems="[]"))
            assert result.inserted_primary_key is not None  # mypy: an insert of one row always has it
            return int(result.inserted_primary_key[0])

    def write(
        self,
        info: RunInfo,
        rows: Sequence[Sample] = (),
        *,
        new_axes: Mapping[str, tuple[str, ...]] | None = None,
        new_facts: Mapping[str, Json] | None = None,
        thinned: Mapping[str, tuple[str, int]] | None = None,
        problems: Sequence[str] = (),
        diagnosis: str | None = None,
    ) -> None:
        """Bring a run up to date.

        thinned: name -> (column, stride): rows of that series whose column is no multiple of stride go.
        diagnosis: JSON; None leaves what is there.
        """
        with self._transaction() as connection:
            values: dict[str, object] = {
                "status": info.status,
                "updated": time.time(),
                "info": info.model_dump_json(),
                "problems": json.dumps(list(problems)),
            }
            if diagnosis is not None:
                values["diagnosis"] = diagnosis
            connection.execute(sa.update(runs).where(runs.c.id == info.id).values(**values))
            for name, labels in (new_axes or {}).items():
                connection.execute(sa.delete(axes).where(axes.c.run == info.id, axes.c.name == name))
                connection.execute(sa.insert(axes).values(run=info.id, name=name, labels=json.dumps(list(labels))))
            if rows:
                connection.execute(sa.insert(samples), [_row(info.id, sample) for sample in rows])
            for name, (column, stride) in (thinned or {}).items():
                off = (samples.c.run == info.id) & (samples.c.name == name) & (samples.c[column] % stride != 0)
                connection.execute(sa.delete(samples).where(off))
            if new_facts:
                gone = facts.c.run == info.id, facts.c.name.in_(list(new_facts))
                connection.execute(sa.delete(facts).where(*gone))
                values_ = [{"run": info.id, "name": k, "value": json.dumps(v)} for k, v in new_facts.items()]
                connection.execute(sa.insert(facts), values_)

    def save_session(self, document: str, status: str, session: int | None = None) -> int:
        """Insert or replace the JSON document of a session of `advisor fix`; its id."""
        with self._transaction() as connection:
            row = {"status": status, "updated": time.time(), "document": document}
            if session is not None:
                connection.execute(sa.update(sessions).where(sessions.c.id == session).values(**row))
                return session
            result = connection.execute(sa.insert(sessions).values(**row))
            assert result.inserted_primary_key is not None  # mypy: an insert of one row always has it
            return int(result.inserted_primary_key[0])

    # ------------------------------------------------------------------------------------------------ reading

    def run_infos(self, *, trials: bool = False) -> list[tuple[RunInfo, str | None]]:
        """Runs and their diagnosis as JSON, oldest first; runs of fix sessions only where `trials`."""
        query = sa.select(runs.c.id, runs.c.info, runs.c.diagnosis).order_by(runs.c.id)
        if not trials:
            query = query.where(runs.c.session.is_(None))
        with self._transaction() as connection:
            return [(_info(run, info), diagnosis) for run, info, diagnosis in connection.execute(query)]

    def runs_of(self, session: int) -> list[RunInfo]:
        """The runs of one fix session, oldest first."""
        query = sa.select(runs.c.id, runs.c.info).where(runs.c.session == session).order_by(runs.c.id)
        with self._transaction() as connection:
            return [_info(run, info) for run, info in connection.execute(query)]

    def record(self, run: int, *, phases: Collection[Phase] | None = None) -> Record:
        """One run. phases: only the series of these; None for everything."""
        with self._transaction() as connection:
            row = connection.execute(sa.select(runs.c.info, runs.c.problems).where(runs.c.id == run)).first()
            if row is None:
                raise self._unknown("run", run)
            labels = {
                name: tuple(json.loads(text))
                for name, text in connection.execute(sa.select(axes.c.name, axes.c.labels).where(axes.c.run == run))
            }
            columns = samples.c.name, samples.c.phase, samples.c.step, samples.c.epoch, samples.c.data
            query = sa.select(*columns).where(samples.c.run == run).order_by(samples.c.step, samples.c.epoch)
            if phases is not None:
                query = query.where(samples.c.phase.in_(phases))
            rows = [
                Sample(name, phase, step, epoch, np.frombuffer(data, dtype="<f4"))
                for name, phase, step, epoch, data in connection.execute(query)
            ]
            found = connection.execute(sa.select(facts.c.name, facts.c.value).where(facts.c.run == run))
            known: dict[str, Json] = {name: json.loads(value) for name, value in found}
        return Record(_info(run, row.info), gather(rows, labels), known, tuple(json.loads(row.problems)))

    def diagnosis(self, run: int) -> str | None:
        """The stored diagnosis of a run as JSON."""
        with self._transaction() as connection:
            row = connection.execute(sa.select(runs.c.diagnosis).where(runs.c.id == run)).first()
        if row is None:
            raise self._unknown("run", run)
        return None if row.diagnosis is None else str(row.diagnosis)

    def session_document(self, session: int) -> str:
        """The JSON document of one fix session."""
        query = sa.select(sessions.c.document).where(sessions.c.id == session)
        with self._transaction() as connection:
            document = connection.execute(query).scalar()
        if document is None:
            raise self._unknown("session", session)
        return str(document)

    def session_documents(self) -> list[tuple[int, str, str]]:
        """(id, status, JSON document) of the fix sessions, oldest first."""
        query = sa.select(sessions.c.id, sessions.c.status, sessions.c.document).order_by(sessions.c.id)
        with self._transaction() as connection:
            return [(int(i), str(status), str(document)) for i, status, document in connection.execute(query)]

    def heard_of(self, session: int) -> float | None:
        """When a session or one of its runs was last written, s since 1970; None for one that is not there."""
        own = sa.select(sessions.c.updated.label("at")).where(sessions.c.id == session)
        of_runs = sa.select(runs.c.updated.label("at")).where(runs.c.session == session)
        both = sa.union_all(own, of_runs).subquery()
        with self._transaction() as connection:
            at = connection.execute(sa.select(sa.func.max(both.c.at))).scalar()
        return None if at is None else float(at)

    def newest(self) -> tuple[str, int] | None:
        """("run" or "session", id) of what was written last."""
        with self._transaction() as connection:
            run = connection.execute(
                sa.select(runs.c.updated, runs.c.id).where(runs.c.session.is_(None)).order_by(runs.c.id.desc())
            ).first()
            session = connection.execute(
                sa.select(sessions.c.updated, sessions.c.id).order_by(sessions.c.id.desc())
            ).first()
        if run is None and session is None:
            return None
        if session is None or (run is not None and run.updated > session.updated):
            assert run is not None  # mypy: one of the two is there
            return "run", int(run.id)
        return "session", int(session.id)

    def close(self) -> None:
        self.engine.dispose()

    def forget(self) -> None:
        """In a forked child: let go of the parent's connections without closing them."""
        self.engine.dispose(close=False)

    # ------------------------------------------------------------------------------------------------- inside

    def _check_schema(self, *, create: bool) -> None:
        with self._transaction() as connection:
            there = sa.inspect(connection).has_table("meta")
            if there:
                found = connection.execute(sa.select(meta.c.value).where(meta.c.key == "schema_version")).scalar()
                version = int(found) if found and str(found).isdigit() else 0
                if version > SCHEMA_VERSION:
                    raise StoreError(
                        f"the store has schema {version}, this advisor reads up to {SCHEMA_VERSION}",
                        context=self._where(),
                        hint="upgrade advisor, or set ADVISOR_STORE to another path",
                    )
                if version == SCHEMA_VERSION:
                    return
            if not create:
                hint = "`advisor run train.py` makes one in it; or set ADVISOR_STORE to another path"
                raise StoreError("this database holds no advisor store", context=self._where(), hint=hint)
            metadata.create_all(connection)
            if not there or version != SCHEMA_VERSION:
                connection.execute(sa.delete(meta).where(meta.c.key == "schema_version"))
                connection.execute(sa.insert(meta).values(key="schema_version", value=str(SCHEMA_VERSION)))

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with database.explained(self._where()), _one_at_a_time, self.engine.begin() as connection:
            yield connection

    def _where(self) -> str:
        return str(self.path) if self.path is not None else self.engine.url.render_as_string(hide_password=True)

    def _unknown(self, what: str, number: int) -> StoreError:
        return StoreError(f"there is no {what} {number}", context=self._where(), hint="`advisor runs` lists them")


def _row(run: int, sample: Sample) -> dict[str, object]:
    data = np.ascontiguousarray(sample.values, dtype="<f4").tobytes()
    named = {"name": sample.name, "phase": sample.phase, "step": sample.step, "epoch": sample.epoch}
    return {"run": run, **named, "data": data}


def _info(run: int, text: str) -> RunInfo:
    return RunInfo.model_validate_json(text).model_copy(update={"id": run})
