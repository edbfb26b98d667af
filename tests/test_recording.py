"""A record whose store fails: at the start, on the way, at the end. It is never lost, and its reader is told where."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from advisor.diagnosis import Diagnosis
from advisor.ending import farewell
from advisor.record import RunInfo, scalars
from advisor.recording import Recorder
from advisor.store import Store

DIAGNOSIS = Diagnosis(status="healthy")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the test's own, and no patience with a store that is locked."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("advisor.database.BUSY_TIMEOUT", 0.01)
    return tmp_path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the store."""
    Store(str(path)).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.close()


def recorded(recorder: Recorder, *values: float) -> None:
    """An epoch a value, written at once."""
    for epoch, value in enumerate(values, start=len(recorder.buffers["val_loss"].rows) if recorder.buffers else 0):
        recorder.add("val_loss", "val", epoch, epoch, [value])
        recorder.fact("epoch", epoch)
    recorder.flush(force=True, diagnosis=DIAGNOSIS.model_dump_json())


def the_other_store(said: str, folder: Path) -> Store:
    """The one that the message names, as `advisor report` opens it."""
    *_, command = said.splitlines()
    words = command.split()
    assert words[-2:] == ["advisor", "report"]
    path = Path(words[-3].removeprefix("ADVISOR_STORE="))
    assert path.is_relative_to(folder)
    return Store(str(path), create=False)


@pytest.mark.parametrize("from_the_start", [True, False], ids=["from the start", "at the end"])
def test_a_locked_store_costs_no_record(
    from_the_start: bool, temporary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of it is in another store, its diagnosis too, and the command that shows it is printed."""
    path = temporary / "asked" / "advisor.db"
    path.parent.mkdir()
    if from_the_start:
        with locked(path):
            recorder = Recorder(RunInfo(name="train.py", started=5.0, pid=7), str(path))
            recorded(recorder, 0.75, 0.5)
    else:
        recorder = Recorder(RunInfo(name="train.py", started=5.0, pid=7), str(path))
        recorded(recorder, 0.75)
        with locked(path):
            recorded(recorder, 0.5)
    farewell(recorder, None, quiet=True)
    said = capsys.readouterr().err
    assert said.startswith(f"advisor: {path}: the store cannot be used: database is locked; another program holds it")
    store = the_other_store(said, temporary)
    ((info, diagnosis),) = store.run_infos()
    record = store.record(info.id)
    assert info.name == "train.py"
    assert list(scalars(record, "val_loss")) == [(0, 0.75), (1, 0.5)]
    assert record.facts == {"epoch": 1}
    assert diagnosis == DIAGNOSIS.model_dump_json()


def test_a_store_that_is_free_again_is_caught_up_with(temporary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What could not be written goes with the next window, and nothing is said."""
    path = temporary / "advisor.db"
    recorder = Recorder(RunInfo(name="train.py"), str(path))
    with locked(path):
        recorded(recorder, 0.75)
    recorded(recorder, 0.5)
    farewell(recorder, None, quiet=True)
    assert capsys.readouterr().err == ""
    assert list(scalars(Store(str(path)).record(1), "val_loss")) == [(0, 0.75), (1, 0.5)]


def test_nowhere_to_go(temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no other store can be made either, the training still ends well, and the loss is said."""
    monkeypatch.setattr("tempfile.tempdir", str(temporary / "missing"))
    with locked(temporary / "advisor.db"):
        recorder = Recorder(RunInfo(), str(temporary / "advisor.db"))
        recorded(recorder, 0.5)
    farewell(recorder, None, quiet=True)
    assert "advisor: this run's record is lost: " in capsys.readouterr().err
