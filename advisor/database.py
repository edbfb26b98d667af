"""A path or a URL -> a connection pool (SQLAlchemy), and its failures -> `StoreError`s with the next move."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from advisor.errors import StoreError

BUSY_TIMEOUT = 5.0  # s that a writer waits for another one: longer than any flush seen, short against an epoch


def open_file(path: Path, *, create: bool) -> sa.Engine:
    """A SQLite file. create: make its folder; the file itself is made by the first connection."""
    if path.is_dir():
        hint = "set ADVISOR_STORE to a file in it: advisor.db, say"
        raise StoreError("expected a file, found a folder", context=str(path), hint=hint)
    if create:
        _make_folder(path.parent)
    elif not path.exists():
        raise StoreError("no store here yet", context=str(path), hint="make one with `advisor run train.py`")
    return _engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT})


def open_url(url: str) -> sa.Engine:
    """Any database that SQLAlchemy knows."""
    return _engine(url)


@contextmanager
def explained(where: str) -> Iterator[None]:
    """What the database refuses inside is a StoreError that names it."""
    try:
        yield
    except OperationalError as error:
        text = str(error.orig)
        if "locked" in text:
            hint = "another program holds it; close that, or set ADVISOR_STORE to another path"
        elif "readonly" in text or "read-only" in text or "unable to open" in text:
            hint = "make it writable, or set ADVISOR_STORE to another path"
        else:
            hint = "check ADVISOR_STORE"
        raise StoreError(f"the store cannot be used: {text}", context=where, hint=hint) from error
    except DatabaseError as error:
        raise StoreError(
            f"expected an advisor store, found something else: {error.orig}",
            context=where,
            hint="move that file away, or set ADVISOR_STORE to another path",
        ) from error


def _engine(url: str, **options: object) -> sa.Engine:
    try:
        engine = sa.create_engine(url, **options)
    except (SQLAlchemyError, ImportError) as error:
        raise StoreError(
            f"cannot open this database: {error}", context="ADVISOR_STORE", hint="expected a path or a URL"
        ) from error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if folder.name == ".advisor" and not ignore.exists():
            ignore.write_text("*\n")  # records are data, not source
    except OSError as error:
        raise StoreError(
            f"cannot make the folder of the store: {error.strerror}",
            context=str(folder),
            hint="set ADVISOR_STORE to a path that can be written",
        ) from error


def _prepare_sqlite(connection: object, _: object) -> None:
    """Readers beside one writer (WAL), no fsync at each commit: a power cut may lose the last window."""
    cursor = connection.cursor()  # type: ignore[attr-defined]
    try:
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
    except Exception as error:  # a read-only file cannot switch to WAL, and need not
        if "readonly" not in str(error) and "unable to open" not in str(error):
            raise
    finally:
        cursor.close()
