"""A user's folder and a sandbox around it, which must leave it as it was."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

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
