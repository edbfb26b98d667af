"""What a trial sees of its own writes to checkpoints, logs, databases and files elsewhere, and that the user's stay."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import torch

from advisor.sandbox import Sandbox


def test_a_checkpoint_is_saved_loaded_and_replaced(sandbox: Sandbox) -> None:
    """`torch.save` over a checkpoint is seen by `torch.load`, by path, by link and by an open file."""
    with sandbox:
        assert torch.load("best.pt") == {"epoch": 7}
        torch.save({"epoch": 1}, "best.pt")
        assert torch.load("best.pt") == torch.load(Path("latest.pt")) == {"epoch": 1}
        torch.save({"w": torch.ones(3)}, Path("tmp.pt"))
        os.replace("tmp.pt", "latest.pt")
        assert torch.load("latest.pt", mmap=True)["w"].tolist() == [1, 1, 1]
        assert torch.load("best.pt") == {"epoch": 1}
        assert not os.path.exists("tmp.pt")
        with open("best.pt", "rb") as file:
            assert torch.load(file) == {"epoch": 1}
    assert torch.load("best.pt") == {"epoch": 7}


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
@pytest.mark.parametrize("name", ["new.pt", "größe.pt"])
def test_every_way_of_torch_save_is_caught(sandbox: Sandbox, name: str, options: dict[str, bool]) -> None:
    """torch writes a plain name in C++, one with umlauts and the old format in Python."""
    with sandbox:
        torch.save([1, 2], name, **options)
        assert torch.load(name) == [1, 2]


def test_a_functions_appends_reach_their_file_and_nothing_else_does(tmp_path: Path, project: Path) -> None:
    """With `appending` a counter can be read outside of the trial; a write to the same folder still cannot."""
    with Sandbox(tmp_path / "scratch", project, project, appending=True):
        with (project / "log.txt").open("a") as file:
            file.write("a trial\n")
        (project / "table.csv").write_text("overwritten")
    assert (project / "log.txt").read_text() == "before\na trial\n"
    assert (project / "table.csv").read_text() == "a,b\n1,2\n"


def test_a_log_is_appended_to_a_copy(sandbox: Sandbox) -> None:
    """Mode "a" begins with what was there, and so does "r+"."""
    with sandbox:
        with open("log.txt", "a") as log:
            log.write("inside\n")
        assert Path("log.txt").read_text() == "before\ninside\n"
        with Path("log.txt").open("r+") as log:
            log.write("BEFORE")
        assert Path("log.txt").read_text() == "BEFORE\ninside\n"
    assert Path("log.txt").read_text() == "before\n"


def _database() -> object:
    with closing(sqlite3.connect("new.db")) as connection:
        connection.execute("create table t (x)")
        connection.execute("insert into t values (4)")
        connection.commit()
    with closing(sqlite3.connect(f"file:{os.path.abspath('new.db')}?mode=ro", uri=True)) as connection:
        return connection.execute("select x from t").fetchall(), os.path.exists("new.db")


def test_a_database_is_written_in_a_copy(sandbox: Sandbox) -> None:
    """`sqlite3.connect` finds the user's rows; new ones stay in scratch."""
    with sandbox:
        assert _database() == ([(4,)], True)
        assert _database_rows("new.db") == 1
    assert not os.path.exists("new.db")


def _database_rows(path: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("select count(*) from t").fetchone()[0])


def test_the_user_s_database_keeps_its_rows(tmp_path: Path, project: Path) -> None:
    """A row that a trial adds to a database is there for the trial alone, also where its log is not merged."""
    with closing(sqlite3.connect("mine.db")) as mine:
        mine.execute("pragma journal_mode=wal")
        mine.execute("create table t (x)")
        mine.execute("insert into t values (1)")
        mine.commit()
        with Sandbox(tmp_path / "scratch", project, project):
            with closing(sqlite3.connect("mine.db")) as inside:
                inside.execute("insert into t values (2)")
                inside.commit()
            assert _database_rows("mine.db") == 2
        assert _database_rows("mine.db") == 1


def test_files_elsewhere(sandbox: Sandbox, tmp_path: Path) -> None:
    """Outside of the project an existing file is copied before it is written; a new one is the trial's own."""
    mine, new = tmp_path / "outside" / "mine.txt", tmp_path / "outside" / "new"
    with sandbox:
        mine.write_text("overwritten")
        assert mine.read_text() == "overwritten"
        new.write_text("a download")
        new.write_text("a longer download")
        os.replace(new, tmp_path / "outside" / "new.bin")
        os.replace(tmp_path / "outside" / "new.bin", mine)
        assert mine.read_text() == "a longer download"
        mine.unlink()
        assert os.listdir(tmp_path / "outside") == []
        mine.write_text("again")
        new.write_text("kept")
        assert sorted(os.listdir(tmp_path / "outside")) == ["mine.txt", "new"]
    assert (mine.read_text(), new.read_text()) == ("keep me", "kept")


def test_what_is_passing_is_written_in_place(tmp_path: Path, project: Path) -> None:
    """The store's file below the working directory is no copy, and neither are devices."""
    store = project / "advisor.db"
    with Sandbox(tmp_path / "scratch", project, project, [store]):
        store.write_text("rows")
        with open(os.devnull, "w") as nothing:
            nothing.write("x")
    assert store.read_text() == "rows"
    assert not Path(f"{tmp_path}/scratch/files{project}").exists()
