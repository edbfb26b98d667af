"""A process as a store notes it (number, host, mark) -> whether it is gone without having said its end."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

LONGEST_SILENCE = 600.0  # s: a convention; whatever is watched writes at least once an epoch


def mark(pid: int) -> str:
    """What tells a process from a later one of the same number: the boot and its start in clock ticks.

    "" where the system does not tell.
    """
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return "ended, and not yet reaped" if state in "ZX" else f"{boot}/{rest[18]}"  # field 22 of proc(5): starttime
    except (OSError, ValueError, IndexError):
        return ""


def gone(pid: int, host: str, noted: str, *, heard: float | None = None) -> bool:
    """Whether a process can no longer go on with what it began: killed at once, or the machine went off.

    noted: its `mark`; "" where that was not to be had
    heard: s since 1970 of the last it wrote; of a process of another machine nothing else is known
    """
    if pid <= 0 or os.name != "posix":
        return False
    if host != socket.gethostname():
        return heard is not None and time.time() - heard > LONGEST_SILENCE
    now = mark(pid)
    if noted and now:
        return now != noted
    try:
        os.kill(pid, 0)  # asks only
    except ProcessLookupError:
        return True
    except OSError:  # it is somebody else's
        return False
    return False
