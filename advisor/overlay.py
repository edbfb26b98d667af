"""A path as a trial asks for it -> where it is read and where it is written: scratch copies over untouched originals.

    <scratch>/files/<absolute path>     what the trial wrote
    <scratch>/gone/<hash of the path>   what the trial deleted; all originals below such a path are hidden too

Both are looked up on disk each time, so that worker processes forked by the trial see the same tree. A *key* below is
the absolute path of the user's file, links in its folder resolved.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

SYSTEM = ("/dev", "/proc", "/sys")  # no files of the user's there
MOST_LINKS = 40  # Linux follows as many before it gives up
_getcwd = os.getcwd  # the system's, also while a sandbox has replaced it


class Overlay:
    """The user's tree as one trial sees it.

    A path is written in scratch where it lies below one of `folders`, or where something of the user's is there
    already; other new files are the trial's own and pass (a download into a cache). The system's temporary folder
    passes too, unless one of `folders` lies in it.

    passing: files that are written in place: the store's
    """

    def __init__(self, scratch: Path, folders: Iterable[Path], passing: Iterable[Path] = ()) -> None:
        root = os.path.realpath(scratch)
        self.files = os.path.join(root, "files")
        self._gone = os.path.join(root, "gone")
        self._folders = tuple(os.path.realpath(folder) for folder in folders)
        temporary = os.path.realpath(tempfile.gettempdir())
        inside = any(_below(folder, temporary) for folder in self._folders)
        self._exempt = (*SYSTEM, root, *(() if inside else (temporary,)))
        self._passing = frozenset(os.path.realpath(path) for path in passing)
        self._made: set[str] = set()  # new files outside that this trial wrote: its own, to change and to delete
        self._real: dict[str, str] = {}

    # ------------------------------------------------------------------------------------------------- paths

    def reading(self, path: str) -> str:
        """Where to read. A path at which there is nothing to see leads to nothing."""
        return self._seen(path, self.follow(path)) if self._used() else path

    def at(self, path: str) -> str:
        """The same for what is at the path itself, where that is a link."""
        return self._seen(path, self.key(path)) if self._used() else path

    def writing(self, path: str, *, keep: bool) -> str:
        """Where to write a file. keep: what is there now stays in it.

        Raises: FileNotFoundError where there is no such folder.
        """
        key = self.follow(path)
        if self.passes(key):
            self.own(key)
            return path
        where = self.where(key)
        if where is not None and not os.path.isfile(where):
            return self.reading(path)  # a folder, which is refused there; a pipe or a device, which is no file
        shadow = self.shadow(key, path)
        if keep and where == key:
            shutil.copy2(key, shadow)
        return shadow

    def altering(self, path: str) -> str:
        """Where to change what is said of a file or a folder: its mode, its time, its length."""
        key = self.follow(path)
        where = self.where(key)
        if where is None or self.passes(key):
            return path if where is not None else self.files + key
        if os.path.isdir(where):
            os.makedirs(self.files + key, exist_ok=True)
            return self.files + key
        return self.writing(path, keep=True)

    def key(self, path: str) -> str:
        """The user's path, also for one that names the copy."""
        folder, name = os.path.split(os.path.abspath(path))
        real = self._real.get(folder)
        if real is None:
            real = self._real[folder] = os.path.realpath(folder)
        full = os.path.join(real, name)
        return full[len(self.files) :] or "/" if _below(full, self.files) else full

    def follow(self, path: str) -> str:
        """The key of what a link leads to."""
        key = self.key(path)
        for _ in range(MOST_LINKS):
            where = self.where(key)
            if where is None or not os.path.islink(where):
                break
            key = self.key(os.path.join(os.path.dirname(key), os.readlink(where)))
        return key

    def where(self, key: str) -> str | None:
        """The file that a trial sees at a key: the copy, or the original, or nothing."""
        if os.path.lexists(self.files + key):
            return self.files + key
        return key if self.original(key) else None

    def passes(self, key: str) -> bool:
        """Whether writing there touches nothing of the user's."""
        if key in self._passing or self._is_exempt(key):
            return True
        if any(_below(key, folder) for folder in self._folders):
            return False
        there = os.path.lexists(key) or os.path.lexists(self.files + key) or self.hidden(key)
        return self._is_own(key) or not there

    def names(self, path: str) -> list[str] | None:
        """What a folder holds; None where that is what the system says."""
        if not self._used():
            return None
        key = self.follow(path)
        shadow = self.files + key
        copied = os.path.isdir(shadow)
        if self._is_exempt(key) or not (copied or os.path.lexists(self._gone)):
            return None
        original = os.path.isdir(key) and self.original(key)
        if not copied and not original:
            where = self.where(key)
            raise error(errno.ENOENT if where is None else errno.ENOTDIR, path)
        found = [n for n in os.listdir(key) if self.original(os.path.join(key, n))] if original else []
        return list(dict.fromkeys([*found, *(os.listdir(shadow) if copied else ())]))

    # ------------------------------------------------------------------------------------------------- inside

    def _seen(self, path: str, key: str) -> str:
        if self._is_exempt(key):
            return path
        where = self.where(key)
        if where == key or (where is not None and os.path.isdir(where) and self.original(key)):
            return key if _is_relative_to_scratch(path, self.files) else path
        return self.files + key

    def _used(self) -> bool:
        return os.path.lexists(self.files) or os.path.lexists(self._gone)

    def original(self, key: str) -> bool:
        """Whether there is an original to see."""
        return os.path.lexists(key) and not self.hidden(key)

    def hidden(self, key: str) -> bool:
        """Whether the trial deleted what was there, or a folder above it."""
        if not os.path.lexists(self._gone):
            return False
        while not os.path.lexists(self._mark(key)):
            above = os.path.dirname(key)
            if above == key:
                return False
            key = above
        return True

    def hide(self, key: str) -> None:
        """Delete an original for this trial."""
        os.makedirs(self._gone, exist_ok=True)
        os.close(os.open(self._mark(key), os.O_CREAT | os.O_WRONLY))

    def _mark(self, key: str) -> str:
        return f"{self._gone}/{hashlib.sha256(os.fsencode(key)).hexdigest()}"

    def _is_exempt(self, key: str) -> bool:
        return any(_below(key, folder) for folder in self._exempt)

    def _is_own(self, key: str) -> bool:
        return bool(self._made) and any(_below(key, made) for made in self._made)

    def own(self, key: str) -> None:
        if key not in self._passing and not self._is_exempt(key) and not self._is_own(key):
            self._made.add(key)

    def shadow(self, key: str, path: str) -> str:
        """The copy's path, its folder made. Raises: FileNotFoundError where the trial sees no such folder."""
        above = os.path.dirname(key)
        where = self.where(above)
        if where is None or not os.path.isdir(where):
            raise error(errno.ENOENT if where is None else errno.ENOTDIR, path)
        os.makedirs(self.files + above, exist_ok=True)
        return self.files + key


def _below(path: str, folder: str) -> bool:
    return path == folder or folder == "/" or path.startswith(folder + "/")


def _is_relative_to_scratch(path: str, files: str) -> bool:
    """After a change into a folder that only the trial sees, a relative path no longer names an original."""
    return not os.path.isabs(path) and _below(_getcwd(), files)


def error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
