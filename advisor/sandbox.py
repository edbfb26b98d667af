"""A trial's file operations -> its scratch folder: it never overwrites what is the user's, and sees its own writes.

What is redirected, and what the trial then sees, is `overlay`'s to say; here Python's ways to the file system are sent
through it: `open` and `io.open`, the functions of `os` (and with them pathlib, shutil, glob, numpy, pandas, zipfile,
logging …), `torch.save` and `torch.load`, `torch.jit.save` and `load`, `sqlite3.connect`. Files that the process held
open for writing when it forked are replaced by copies (Linux).

Not caught, because they open files in C or in another program: h5py, safetensors, pyarrow, OpenCV's `imwrite`, what a
subprocess writes, and calls with `dir_fd`.
"""

from __future__ import annotations

import builtins
import io
import os
import shutil
import sqlite3
import sqlite3.dbapi2
import sys
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import torch

from advisor import moves
from advisor.open_files import OpenFiles
from advisor.overlay import Overlay
from advisor.replacing import replaced
from advisor.scan import Scan

OPENER = 5  # position of `opener` among the arguments of `open` after the file and the mode
READING = ("stat", "access", "listxattr", "getxattr", "chdir", "statvfs")
READING_LINKS = ("lstat", "readlink")
ALTERING = ("chmod", "chown", "utime", "truncate", "setxattr", "removexattr")

Call = Callable[..., Any]


class Sandbox:
    """Active between `with` and its end, for the whole process and its later forks.

    scratch:       what is written goes there
    directory:     the working directory; it and `script_folder` are protected as a whole
    passing:       files that are written in place: the store's
    appending:     pure appends reach their files: the counters of a function from the user's own session
    """

    def __init__(
        self,
        scratch: Path,
        directory: Path,
        script_folder: Path,
        passing: Iterable[Path] = (),
        *,
        appending: bool = False,
    ) -> None:
        self._appending = appending
        self._overlay = Overlay(scratch, (directory, script_folder), passing)
        self._inside = threading.local()  # `ours` while this thread's file operations are our own
        self._open_files = OpenFiles(self._overlay)

    def __enter__(self) -> Sandbox:
        self._open_files.take_over()
        self._replaced = replaced(self._replacements())
        self._replaced.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._replaced.__exit__(None, None, None)
        self._open_files.give_back()

    def _replacements(self) -> Iterator[tuple[Any, str, Any]]:
        """(module, name, what stands there meanwhile)."""
        overlay, redirected, performed = self._overlay, self._redirected, self._performed
        opening = self._opening(io.open)
        yield from ((builtins, "open", opening), (io, "open", opening), (tarfile, "bltn_open", opening))
        if "bz2" in sys.modules:
            yield sys.modules["bz2"], "_builtin_open", opening
        yield io, "open_code", redirected(io.open_code, overlay.reading)  # runpy reads a script with it
        yield os, "open", self._opening_descriptor(os.open)
        for names, where in ((READING, overlay.reading), (READING_LINKS, overlay.at), (ALTERING, overlay.altering)):
            for name in names:
                if hasattr(os, name):
                    yield os, name, redirected(getattr(os, name), where)
        yield os, "mkdir", performed(os.mkdir, moves.mkdir, "path")
        yield os, "remove", performed(os.remove, moves.remove, "path")
        yield os, "unlink", performed(os.unlink, moves.remove, "path")
        yield os, "rmdir", performed(os.rmdir, moves.rmdir, "path")
        yield os, "rename", performed(os.rename, moves.rename, "src", "dst")
        yield os, "replace", performed(os.replace, moves.rename, "src", "dst")
        yield os, "symlink", performed(os.symlink, moves.symlink, "src", "dst")
        yield os, "link", performed(os.link, moves.link, "src", "dst")
        yield os, "listdir", self._listing(os.listdir)
        yield os, "scandir", self._scanning(os.scandir)
        yield os, "getcwd", self._working_directory(os.getcwd)
        if hasattr(shutil, "_use_fd_functions"):
            yield shutil, "_use_fd_functions", False  # rmtree then goes by paths, which can be redirected
        connect = self._connecting(sqlite3.connect)
        yield from ((sqlite3, "connect", connect), (sqlite3.dbapi2, "connect", connect))
        written = partial(overlay.writing, keep=False)
        yield torch._C, "PyTorchFileWriter", redirected(torch._C.PyTorchFileWriter, written)  # it opens files in C++
        save = redirected(torch.save, written, name="f", position=1)  # older torch: io.FileIO for names with umlauts
        yield from ((torch, "save", save), (torch.serialization, "save", save))
        load = redirected(torch.load, overlay.reading, name="f")
        yield from ((torch, "load", load), (torch.serialization, "load", load))
        yield torch.jit, "load", redirected(torch.jit.load, overlay.reading, name="f")
        yield torch.jit, "save", redirected(torch.jit.save, written, name="f", position=1)
        # numpy's text files: it makes the file by `open`, and then holds on to the `open` of its own first use
        yield np.lib._datasource, "open", redirected(np.lib._datasource.open, self._unless_url(overlay.reading))

    # -------------------------------------------------------------------------------------------- kinds of function

    def _redirected(
        self, original: Call, where: Callable[[str], str], *, name: str = "path", position: int = 0
    ) -> Call:
        """The same function on another path, which is the argument at a position, or of a name."""

        @wraps(original)
        def call(*args: Any, **named: Any) -> Any:
            if named.get("dir_fd") is not None or (len(args) <= position and name not in named):
                return original(*args, **named)
            asked = named[name] if name in named else args[position]
            follows = named.get("follow_symlinks", True) or where != self._overlay.reading
            path = self._ask(where if follows else self._overlay.at, asked)
            if name in named:
                named[name] = path
            else:
                args = (*args[:position], path, *args[position + 1 :])
            return _blaming(asked, path, original, *args, **named)

        return call

    def _performed(self, original: Call, act: Callable[..., None], *names: str) -> Call:
        """Ours instead of theirs, on paths that are the first arguments, or have these names."""

        @wraps(original)
        def call(*args: Any, **named: Any) -> None:
            elsewhere = any(key.endswith("dir_fd") and value is not None for key, value in named.items())
            if elsewhere or self._busy:
                original(*args, **named)
                return
            paths = [*args[: len(names)], *(named[name] for name in names[len(args) :])]
            modes = [*args[len(names) :], *([named["mode"]] if "mode" in named else [])] if act is moves.mkdir else []
            with self._alone():
                act(self._overlay, *map(os.fsdecode, paths), *modes)

        return call

    def _opening(self, original: Call) -> Call:
        @wraps(original)
        def open(file: Any, mode: str = "r", *args: Any, **named: Any) -> Any:
            if named.get("opener") is not None or len(args) > OPENER:
                return original(file, mode, *args, **named)  # the opener calls `os.open`
            letters = set(str(mode))
            if self._appending and "a" in letters and "+" not in letters:
                path = file
            elif letters & set("wax+"):
                path = self._ask(partial(self._to_write, keep="w" not in letters, new="x" in letters), file)
            else:
                path = self._ask(self._overlay.reading, file)
            return _blaming(file, path, original, path, mode, *args, **named)

        return open

    def _opening_descriptor(self, original: Callable[..., int]) -> Callable[..., int]:
        @wraps(original)
        def open(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if dir_fd is not None:
                return original(path, flags, mode, dir_fd=dir_fd)
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC) and not flags & os.O_DIRECTORY:
                keep = not (flags & os.O_TRUNC and flags & os.O_CREAT)
                new = bool(flags & os.O_EXCL and flags & os.O_CREAT)
                to = self._ask(partial(self._to_write, keep=keep, new=new), path)
            else:
                to = self._ask(self._overlay.reading, path)
            return int(_blaming(path, to, original, to, flags, mode))

        return open

    def _unless_url(self, where: Callable[[str], str]) -> Callable[[str], str]:
        return lambda path: path if "://" in path else where(path)

    def _to_write(self, path: str, *, keep: bool, new: bool) -> str:
        """Where to write; for a file that must be new, the one that is in its way."""
        there = self._overlay.where(self._overlay.key(path)) if new else None
        return there if there is not None else self._overlay.writing(path, keep=keep)

    def _listing(self, original: Call) -> Call:
        @wraps(original)
        def listdir(path: Any = ".") -> Any:
            names = self._names(path)
            if names is None:
                return original(self._ask(self._overlay.reading, path))
            return [os.fsencode(name) for name in names] if isinstance(path, bytes) else names

        return listdir

    def _scanning(self, original: Call) -> Call:
        @wraps(original)
        def scandir(path: Any = ".") -> Any:
            names = self._names(path)
            if names is None:
                return original(self._ask(self._overlay.reading, path))
            return Scan(os.fsdecode(path), names)

        return scandir

    def _working_directory(self, original: Callable[[], str]) -> Callable[[], str]:
        @wraps(original)
        def getcwd() -> str:
            files, here = self._overlay.files, original()
            return here[len(files) :] if here.startswith(files + "/") else here

        return getcwd

    def _connecting(self, original: Call) -> Call:
        @wraps(original)
        def connect(database: Any, *args: Any, **named: Any) -> Any:
            url = urlsplit(str(database)) if named.get("uri") and str(database).startswith("file:") else None
            path = unquote(url.path) if url is not None else database
            if not path or str(path).startswith(":memory:") or (url is not None and "mode=memory" in url.query):
                return original(database, *args, **named)
            only_read = url is not None and "mode=ro" in url.query
            to = self._ask(self._overlay.reading if only_read else self._to_database, path)
            return original(url._replace(path=str(to)).geturl() if url is not None else to, *args, **named)

        return connect

    def _to_database(self, path: str) -> str:
        """A copy of the database, with what was not yet merged into it."""
        before = self._overlay.where(self._overlay.follow(path))
        to = self._overlay.writing(path, keep=True)
        if to != path and before is not None and before != to:
            for suffix in ("-wal", "-journal"):
                if os.path.exists(before + suffix):
                    shutil.copy2(before + suffix, to + suffix)
        return to

    # ---------------------------------------------------------------------------------------------------- inside

    @property
    def _busy(self) -> bool:
        return bool(getattr(self._inside, "ours", False))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """This thread's file operations are our own meanwhile."""
        self._inside.ours = True
        try:
            yield
        finally:
            self._inside.ours = False

    def _ask(self, where: Callable[[str], str], path: Any) -> Any:
        """The path to use for one that was given; descriptors, buffers and our own calls stay as they are."""
        if self._busy or not isinstance(path, str | bytes | os.PathLike):
            return path
        with self._alone():
            given = os.fsdecode(path)
            found = where(given)
        return path if found == given else found

    def _names(self, path: Any) -> list[str] | None:
        if self._busy or not isinstance(path, str | bytes | os.PathLike):
            return None
        with self._alone():
            return self._overlay.names(os.fsdecode(path))


def _blaming(asked: Any, used: Any, function: Call, *args: Any, **named: Any) -> Any:
    """Call it; an error names the path that was asked for."""
    try:
        return function(*args, **named)
    except OSError as error:
        if used is not asked and error.filename == used:
            error.filename = asked
        raise
