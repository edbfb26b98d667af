"""Each kind of file operation gives in a sandbox what it gives outside of it."""

from __future__ import annotations

import bz2
import glob
import gzip
import json
import os
import pickle
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from advisor.sandbox import Sandbox


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
