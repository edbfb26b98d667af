"""A store that cannot be used: each case is one message with the next move; and what a listing reads."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from advisor.errors import StoreError
from advisor.record import RunInfo, Sample
from advisor.schema import SCHEMA_VERSION
from advisor.store import Store


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the store is; nobody waits for one that is locked."""
    monkeypatch.setattr("advisor.database.BUSY_TIMEOUT", 0.01)
    return tmp_path / "advisor.db"


def refused(path: Path, *, create: bool) -> str:
    """The message of a store that cannot be opened."""
    with pytest.raises(StoreError) as raised:
        Store(str(path), create=create)
    assert raised.value.context == str(path)
    assert raised.value.hint
    return str(raised.value)


@pytest.mark.parametrize("create", [True, False], ids=["to write", "to read"])
def test_what_is_no_store_is_left_as_it_is(path: Path, create: bool) -> None:
    """A text file, and a folder: the user is told to name another path, and nothing is overwritten."""
    path.write_text("my thesis, which is longer than the hundred bytes that a database begins with. " * 2)
    before = path.read_bytes()
    assert "expected an advisor store, found something else: file is not a database" in refused(path, create=create)
    assert path.read_bytes() == before
    path.unlink()
    path.mkdir()
    assert "expected a file, found a folder" in refused(path, create=create)


@pytest.mark.parametrize("create", [True, False], ids=["to write", "to read"])
def test_a_store_of_a_newer_advisor_is_not_touched(path: Path, create: bool) -> None:
    """Both versions are named; upgrading is the next move."""
    Store(str(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = '99'")
    connection.close()
    said = f"the store has schema 99, this advisor reads up to {SCHEMA_VERSION}; upgrade advisor"
    assert said in refused(path, create=create)


def test_there_is_nothing_to_read_yet(path: Path) -> None:
    """No file, an empty one, and another program's database: the next move is to run something."""
    assert "no store here yet; make one with `advisor run train.py`" in refused(path, create=False)
    assert not path.exists()
    path.touch()
    assert "this database holds no advisor store; `advisor run train.py` makes one" in refused(path, create=False)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    assert "this database holds no advisor store" in refused(path, create=False)


def test_a_locked_store_can_be_read_and_not_written(path: Path) -> None:
    """Reports open while another program writes; who wants to write is told before the work begins."""
    store = Store(str(path))
    store.check_writable()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert store.newest() is None
    with pytest.raises(StoreError, match="database is locked; another program holds it"):
        store.check_writable()
    other.close()
    store.check_writable()
    store.close()


def test_a_read_only_store_can_be_read_and_not_written(path: Path) -> None:
    """SQLite itself refuses, so that it holds for root too."""
    Store(str(path)).close()
    store = Store(f"sqlite:///file:{path}?mode=ro&uri=true", create=False)
    assert store.newest() is None
    with pytest.raises(StoreError, match="attempt to write a readonly database; make it writable"):
        store.check_writable()
    store.close()


def test_unknown_ids_name_the_command_that_lists_them(path: Path) -> None:
    """A run and a session."""
    store = Store(str(path))
    for ask in (store.record, store.diagnosis):
        with pytest.raises(StoreError, match="there is no run 9; `advisor runs` lists them"):
            ask(9)
    with pytest.raises(StoreError, match="there is no session 9; `advisor runs` lists them"):
        store.session_document(9)
    store.close()


def test_a_record_without_its_steps(path: Path) -> None:
    """What a listing reads of a run: the series by epoch, and not the thousands of rows by step."""
    store = Store(str(path))
    run = store.add_run(RunInfo())
    one = np.array([1.0], dtype=np.float32)
    rows = [
        Sample("val_loss", "val", 4, 0, one),
        Sample("step_loss", "step", 4, 0, one),
        Sample("f1", "log", 4, 0, one),
    ]
    store.write(RunInfo(id=run), rows)
    assert set(store.record(run, phases=("val", "log")).series) == {"val_loss", "f1"}
    assert set(store.record(run).series) == {"val_loss", "step_loss", "f1"}
    store.close()
