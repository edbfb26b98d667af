"""What a trial sees of its own writes, and that nothing of the user's is altered by them."""

from __future__ import annotations

import bz2
import glob
import gzip
import hashlib
import json
import logging
import os
import pickle
import shutil
import sqlite3
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch

from advisor.sandbox import Sandbox


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory as a user may have it."""
    folder = tmp_path / "project"
    (folder / "runs" / "old").mkdir(parents=True)
    (folder / "runs" / "old" / "events").write_text("first run")
    (folder / "log.txt").write_text("before\n")
    (folder / "table.csv").write_text("a,b\n1,2\n")
    torch.save({"epoch": 7}, folder / "best.pt")
    (folder / "latest.pt").symlink_to("best.pt")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def sandbox(tmp_path: Path, project: Path) -> Iterator[Sandbox]:
    """One that is not entered yet; the user's files must be what they were when the test is over."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("keep me")
    before = fingerprint(tmp_path)
    yield Sandbox(tmp_path / "scratch", project, project)
    assert {path: seen for path, seen in fingerprint(tmp_path).items() if "outside/new" not in path} == before


def fingerprint(folder: Path) -> dict[str, tuple[str, int, float]]:
    """Path -> (content, mode, time of a file) for everything below a folder but the scratch folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        at, name = path.lstat(), str(path.relative_to(folder))
        if name.startswith("scratch"):
            continue
        if path.is_symlink():
            found[name] = os.readlink(path), at.st_mode, at.st_mtime
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest(), at.st_mode, at.st_mtime
        else:
            found[name] = "", at.st_mode, 0.0
    return found


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


def test_a_file_closed_in_the_trial_stays_closed(sandbox: Sandbox, project: Path) -> None:
    """A descriptor that was taken over and closed meanwhile is not opened again, and ends no trial."""
    file = (project / "log.txt").open("a")
    with sandbox:
        file.write("in the trial\n")
        file.close()
    with pytest.raises(ValueError, match="closed file"):
        file.write("after it")
    assert (project / "log.txt").read_text() == "before\n"


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


def _pathlib_text() -> object:
    Path("new.txt").write_text("x")
    return Path("new.txt").read_text()


def _overwritten() -> object:
    Path("table.csv").write_bytes(b"x")
    return Path("table.csv").read_bytes()


def _pandas() -> object:
    pd.DataFrame({"a": [3]}).to_csv("table.csv", index=False)
    return pd.read_csv("table.csv").to_dict("list")


def _numpy() -> object:
    np.save("x.npy", np.arange(3))
    np.savez_compressed("x.npz", a=np.ones(2))
    np.savetxt("x.txt", np.ones(2))
    np.arange(3, dtype=np.uint8).tofile("x.bin")
    array = np.memmap("x.map", np.uint8, "w+", shape=(2,))
    array[:] = 5
    array.flush()
    loaded = np.load("x.npy", mmap_mode="r").tolist(), np.load("x.npz")["a"].tolist(), np.loadtxt("x.txt").tolist()
    return *loaded, np.fromfile("x.bin", np.uint8).tolist(), np.memmap("x.map", np.uint8, "r").tolist()


def _archives() -> object:
    with zipfile.ZipFile("x.zip", "w") as archive:
        archive.write("table.csv")
    with tarfile.open("x.tar.gz", "w:gz") as tar:
        tar.add("table.csv")
    with gzip.open("x.gz", "wb") as file, bz2.open("x.bz2", "wb") as other:
        file.write(b"g")
        other.write(b"b")
    with gzip.open("x.gz") as file, bz2.open("x.bz2") as other:
        return zipfile.is_zipfile("x.zip"), tarfile.is_tarfile("x.tar.gz"), file.read(), other.read()


def _dumped() -> object:
    with open("x.json", "w") as text, open("x.pkl", "wb") as file:
        json.dump([1], text)
        pickle.dump([2], file)
    return json.loads(Path("x.json").read_text()), Path("x.pkl").stat().st_size > 0


def _descriptor() -> object:
    descriptor = os.open("table.csv", os.O_WRONLY | os.O_TRUNC)
    os.write(descriptor, b"fd")
    os.close(descriptor)
    return Path("table.csv").read_text()


def _exclusive() -> object:
    with open("once", "x") as file:
        file.write("x")
    with pytest.raises(FileExistsError, match="once"):
        open("once", "x")
    with pytest.raises(FileExistsError, match="log.txt"):
        open("log.txt", "x")
    with pytest.raises(FileExistsError, match="log.txt"):
        os.open("log.txt", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    return os.path.exists("once")


def _copied() -> object:
    shutil.copy("table.csv", "copy.csv")
    shutil.copy2("table.csv", "log.txt")
    shutil.copytree("runs", "copied")
    return Path("copy.csv").read_text(), Path("log.txt").read_text(), os.listdir("copied/old")


def _moved() -> object:
    shutil.move("runs", "moved")
    os.rename("log.txt", "renamed.txt")
    Path("table.csv").rename("runs")
    seen = sorted(os.listdir()), Path("moved/old/events").read_text(), Path("renamed.txt").read_text()
    return *seen, Path("runs").read_text()


def _folders() -> object:
    os.makedirs("a/b/c")
    os.makedirs("a/b", exist_ok=True)
    Path("a/b/c/d").touch()
    with pytest.raises(FileExistsError, match="runs"):
        os.mkdir("runs")
    with pytest.raises(OSError, match="not empty"):
        os.rmdir("a/b/c")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open("nowhere/file", "w")
    with pytest.raises(IsADirectoryError, match="runs"):
        open("runs", "w")
    return os.listdir("a/b/c"), Path("a").is_dir(), sorted(glob.glob("a/**", recursive=True))


def _deleted() -> object:
    os.remove("log.txt")
    os.unlink(path="table.csv")
    Path("best.pt").unlink()
    with pytest.raises(FileNotFoundError, match="log.txt"):
        open("log.txt")
    with pytest.raises(FileNotFoundError, match="log.txt"):
        os.remove("log.txt")
    with pytest.raises(IsADirectoryError, match="runs"):
        os.remove("runs")
    return sorted(os.listdir(b".")), os.path.exists("log.txt"), os.path.exists("latest.pt"), os.path.islink("latest.pt")


def _tree_deleted_and_made_again() -> object:
    shutil.rmtree("runs")
    gone = os.path.exists("runs"), os.path.exists("runs/old/events")
    with pytest.raises(FileNotFoundError, match="runs"):
        os.listdir("runs")
    with pytest.raises(FileNotFoundError, match="runs"):
        open("runs/new", "w")
    os.mkdir("runs")
    Path("runs/new").write_text("n")
    return gone, os.listdir("runs"), [name for _, _, names in os.walk("runs") for name in names]


def _listed() -> object:
    Path("runs/old/more").write_text("m")
    with os.scandir("runs/old") as entries:
        seen = sorted((e.name, e.path, e.is_file(), e.is_dir(), e.stat().st_size) for e in entries)
    return seen, sorted(p.name for p in Path("runs").rglob("*")), sorted(p.name for p in Path("runs/old").iterdir())


def _linked() -> object:
    Path("runs/now").symlink_to("old")
    os.symlink("log.txt", "log.link")
    os.link("log.txt", "log.hard")
    Path("log.link").write_text("by link")
    return os.readlink("log.link"), Path("log.txt").read_text(), Path("log.hard").read_text()


def _altered() -> object:
    os.chmod("log.txt", 0o600)
    os.utime("table.csv", (5, 5))
    os.truncate("log.txt", 3)
    Path("runs").touch()
    return Path("log.txt").stat().st_mode & 0o777, os.path.getmtime("table.csv"), Path("log.txt").read_text()


def _changed_into() -> object:
    here = os.getcwd()
    os.makedirs("out/deep")
    os.chdir("out/deep")
    Path("x").write_text("1")
    inside = os.path.relpath(os.getcwd(), here), Path("x").read_text(), Path("../../log.txt").read_text()
    os.chdir(here)
    return inside, Path("out/deep/x").read_text()


def _temporary_here() -> object:
    with tempfile.NamedTemporaryFile("w", dir=".", delete=False) as file:
        file.write("t")
    os.replace(file.name, "final")
    with tempfile.TemporaryDirectory(dir=".") as folder:
        Path(folder, "x").touch()
    return Path("final").read_text(), os.path.exists(folder)


def _database() -> object:
    with closing(sqlite3.connect("new.db")) as connection:
        connection.execute("create table t (x)")
        connection.execute("insert into t values (4)")
        connection.commit()
    with closing(sqlite3.connect(f"file:{os.path.abspath('new.db')}?mode=ro", uri=True)) as connection:
        return connection.execute("select x from t").fetchall(), os.path.exists("new.db")


def _traced() -> object:
    module = torch.jit.trace(torch.nn.Identity(), torch.ones(1))
    torch.jit.save(module, "traced.pt")
    return torch.jit.load("traced.pt")(torch.ones(1)).tolist()


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")  # scripts still use it
@pytest.mark.parametrize(
    "act",
    [
        _pathlib_text, _overwritten, _pandas, _numpy, _archives, _dumped, _descriptor, _exclusive, _copied, _moved,
        _folders, _deleted, _tree_deleted_and_made_again, _listed, _linked, _altered, _changed_into, _temporary_here,
        _traced,
    ],
)  # fmt: skip
def test_inside_is_as_outside(sandbox: Sandbox, project: Path, tmp_path: Path, act: Callable[[], object]) -> None:
    """Each kind of file operation gives what it gives on a tree of one's own, and the user's tree is untouched."""
    own = tmp_path / "scratch" / "own"
    shutil.copytree(project, own, symlinks=True)
    os.chdir(own)
    expected = act()
    os.chdir(project)
    with sandbox:
        assert act() == expected


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


def test_an_open_log_goes_on_in_a_copy(sandbox: Sandbox, project: Path) -> None:
    """A log handler that was there before the trial writes into scratch meanwhile, behind what it had written."""
    path = project / "runs" / "handler.log"
    handler = logging.FileHandler(path)
    record = logging.LogRecord("x", logging.INFO, "", 0, "line", None, None)
    handler.emit(record)
    before = path.stat()
    with sandbox:
        handler.emit(record)
        assert path.read_text() == "line\nline\n"
    assert (path.read_text(), path.stat().st_mtime) == ("line\n", before.st_mtime)
    handler.emit(record)
    handler.close()
    assert path.read_text() == "line\nline\n"
    path.unlink()


def test_a_worker_process_sees_the_same(sandbox: Sandbox) -> None:
    """A process forked inside writes where its parent reads."""
    with sandbox:
        worker = os.fork()
        if worker == 0:
            Path("cache").write_text("by the worker")
            os.remove("log.txt")
            os._exit(0)
        os.waitpid(worker, 0)
        assert (Path("cache").read_text(), os.path.exists("log.txt")) == ("by the worker", False)


def test_everything_is_put_back(sandbox: Sandbox) -> None:
    """After the block each function is the one from before."""
    names = ["open", "stat", "lstat", "mkdir", "remove", "unlink", "rmdir", "rename", "replace", "listdir", "utime"]
    before = [getattr(os, name) for name in names], open, torch.load, torch._C.PyTorchFileWriter, sqlite3.connect
    with sandbox:
        assert os.stat is not before[0][1]
    assert before == (
        [getattr(os, name) for name in names], open, torch.load, torch._C.PyTorchFileWriter, sqlite3.connect
    )  # fmt: skip


def test_names_of_the_user_s_modules_are_reached(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that did `from os import remove` before the trial deletes in scratch too."""
    module = ModuleType("users_own")
    module.__file__ = os.path.abspath("users_own.py")
    module.remove, module.flag = os.remove, True  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "users_own", module)
    with sandbox:
        module.remove("log.txt")  # type: ignore[attr-defined]
        assert (os.path.exists("log.txt"), module.flag) == (False, True)  # type: ignore[attr-defined]
    assert module.remove is os.remove  # type: ignore[attr-defined]
    assert os.path.exists("log.txt")


def test_an_error_names_the_path_that_was_asked_for(sandbox: Sandbox) -> None:
    """Nobody has to read a scratch path in a message."""
    with sandbox:
        Path("x").touch()
        with pytest.raises(FileNotFoundError) as raised:
            open("missing.txt")
        os.remove("log.txt")
        with pytest.raises(FileNotFoundError) as hidden:
            os.stat("log.txt")
    assert (raised.value.filename, hidden.value.filename) == ("missing.txt", "log.txt")
