"""Files that a process held open for writing when it forked: a trial goes on in copies of them (Linux)."""

from __future__ import annotations

import fcntl
import os
import stat

from advisor.overlay import Overlay

OPEN_FILES = "/proc/self/fd"  # Linux: one link for each open descriptor
STANDARD_STREAMS = 3  # stdin, stdout, stderr: whoever forked the trial has seen to them


class OpenFiles:
    """Descriptors of a log handler made before the fork, say."""

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._taken: list[tuple[int, int, tuple[int, int]]] = []  # (descriptor, what it was, device and inode now)

    def take_over(self) -> None:
        """Point every descriptor that is open for writing at a copy of its file."""
        for name in os.listdir(OPEN_FILES) if os.path.isdir(OPEN_FILES) else ():
            descriptor = int(name)
            try:
                flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
                path = os.readlink(f"{OPEN_FILES}/{name}")
                is_file = stat.S_ISREG(os.fstat(descriptor).st_mode) and os.path.exists(path)
                if descriptor < STANDARD_STREAMS or flags & os.O_ACCMODE == os.O_RDONLY or not is_file:
                    continue
                if self._overlay.passes(path):
                    continue
                copy = os.open(self._overlay.writing(path, keep=True), flags)
            except OSError:
                continue  # closed meanwhile: the descriptor by which the folder was listed
            os.lseek(copy, os.lseek(descriptor, 0, os.SEEK_CUR), os.SEEK_SET)
            self._taken.append((descriptor, os.dup(descriptor), _identity(copy)))
            os.dup2(copy, descriptor, inheritable=os.get_inheritable(descriptor))
            os.close(copy)

    def give_back(self) -> None:
        """Point them at their files again, but for those that were closed or opened anew meanwhile."""
        while self._taken:
            descriptor, before, copy = self._taken.pop()
            try:
                if _identity(descriptor) == copy:
                    os.dup2(before, descriptor, inheritable=os.get_inheritable(descriptor))
            except OSError:
                continue  # closed
            finally:
                os.close(before)


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino
