"""A fork of this process that runs one job: made, listened to, ended, and reaped with all that it started."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from advisor.record import Json
from advisor.store import forking
from advisor.trial import HELD_BACK, Job

PROBE_LIMIT = 2.0  # s; a fork that can compute with threads has done so after 0.01 s, any other never
GRACE = 2.0  # s between SIGTERM and SIGKILL: enough for `watch` to write its last window
PIPE_SIZE = 65536  # bytes read at once: what a Linux pipe holds


@dataclass
class Child:
    """A process that runs a job. said: what it told through its pipe."""

    job: Job
    pid: int
    pipe: int
    scratch: Path
    started: float
    said: dict[str, Any] = field(default_factory=dict)
    overran: bool = False
    _unread: bytes = b""

    def listen(self) -> bool:
        """Take what was told; True at the end of the pipe."""
        data = os.read(self.pipe, PIPE_SIZE)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self.said.update(json.loads(line))
        return not data

    def is_over(self) -> bool:
        """Whether the process has ended; it is not reaped by the question, so that its group keeps its number."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end(self) -> None:
        """Ask it to stop, so that its record is complete; then make it."""
        os.kill(self.pid, signal.SIGTERM)
        until = time.monotonic() + GRACE
        while not self.is_over() and (left := until - time.monotonic()) > 0:
            if select.select([self.pipe], [], [], left)[0] and self.listen():
                break
        os.kill(self.pid, signal.SIGKILL)

    def reap(self) -> int:
        """Its exit code, or minus the signal; whatever it started is ended with it."""
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        # It may not have come as far as a group of its own; PermissionError is what macOS says of a group of the dead.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        while select.select([self.pipe], [], [], 0)[0] and not self.listen():
            pass
        os.close(self.pipe)
        return os.waitstatus_to_exitcode(status)


def fork() -> int:
    """`os.fork` with nothing in the buffers and no connection to the store open; both would be used twice.

    The child begins with Ctrl-C and SIGTERM held back: it could not yet tell them from its parent's.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    pid = -1  # a fork that failed
    try:
        with forking(), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # Python 3.12 warns of threads; `can_compute` tries them
            pid = os.fork()
        return pid
    finally:
        if pid != 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def tell(pipe: int, said: dict[str, Json]) -> None:
    os.write(pipe, json.dumps(said).encode() + b"\n")


def can_compute() -> bool:
    """Whether a fork of this process can compute with several threads: tried, since nothing tells."""
    reader, writer = os.pipe()
    pid = fork()
    if pid == 0:
        torch.ones(2**17).sum()  # four times what torch computes in one thread
        os._exit(0)
    os.close(writer)
    over = bool(select.select([reader], [], [], PROBE_LIMIT)[0])
    os.close(reader)
    if not over:
        os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1] == 0
