"""What was opened or imported before a sandbox, and what is forked in it, goes through it too, and it is put back."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from advisor.sandbox import Sandbox


def test_a_file_closed_in_the_trial_stays_closed(sandbox: Sandbox, project: Path) -> None:
    """A descriptor that was taken over and closed meanwhile is not opened again, and ends no trial."""
    file = (project / "log.txt").open("a")
    with sandbox:
        file.write("in the trial\n")
        file.close()
    with pytest.raises(ValueError, match="closed file"):
        file.write("after it")
    assert (project / "log.txt").read_text() == "before\n"


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
