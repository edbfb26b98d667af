"""One run of the user's training in a process of its own: orders in, a row in the store and a log out."""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import gc
import os
import runpy
import signal
import sys
import time
import traceback
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import torch

from advisor.assignment import Assignment, Rival, assign
from advisor.errors import OURS, AdvisorError, in_one_line
from advisor.plan import Plan
from advisor.program import Program
from advisor.record import Status
from advisor.seeds import shift_of, shift_seeds
from advisor.tracing import traced

__all__ = ["HELD_BACK", "Job", "Program", "Ran", "run_here"]

LOG = "log.txt"
TAIL = 20  # lines of a log that are shown: a traceback, seldom more
HELD_BACK = (
    signal.SIGINT,
    signal.SIGTERM,
)  # signals that whoever forks holds back until the child has its own handlers
PR_SET_PDEATHSIG = 1  # linux/prctl.h
FORK_HINT = "; this process has used the GPU or autograd before: run it as `advisor fix script.py`"


@dataclass(frozen=True, slots=True)
class Job:
    """One run to make.

    number: of the trial that it belongs to
    judging: share of the run's time for measuring what stands in for a metric in doubt
    traced: note in the record where the script made its objects (`advisor.tracing`)
    """

    number: int
    plan: Plan
    seed: int
    session: int | None = None
    rival: Rival | None = None
    probes: tuple[str, ...] = ()
    judging: float = 0.0
    traced: bool = False


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a job.

    run:           its id in the store; None where `advisor.watch` was never reached
    status:        of the run; no_watch without one; crashed where the process died (a signal, no memory)
    error:         what was raised and where, or what killed it; one line
    seconds:       from the fork to the end of the process
    start_seconds: from the fork to the user's first line
    log:           what the program printed; it is there until the executor is closed
    ours:          the error is advisor's own word on an input (a plan, an empty loader), and not the program's
    """

    job: Job
    run: int | None
    status: Status | Literal["no_watch", "crashed"]
    error: str | None
    seconds: float
    start_seconds: float
    log: Path
    ours: AdvisorError | None = None

    @property
    def tail(self) -> str:
        """The last lines that the program printed."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-TAIL:])


def run_here(
    program: Program,
    job: Job,
    store_url: str,
    scratch: Path,
    *,
    threads: int | None = None,
    tell: Callable[[dict[str, Any]], None] = lambda _: None,
) -> NoReturn:
    """Make this process, just forked, the run of a job; it ends with it.

    threads: of torch; None leaves what is set. 1 where the parent's threads are gone: nothing may ask for more then
    tell:    hears of {"first_line": monotonic s}, and at the end of {"error": str | None}
    """
    code = 1
    try:
        _leave_parent()
        _redirect_output(scratch / LOG)
        _limit_threads(threads)
        error = _run(program, job, store_url, scratch, tell)
        tell({"error": error})  # the last word: whoever listens goes by it
        code = 0 if error is None else 1
    except BaseException:  # noqa: BLE001  the fence: whatever it is must not go up the parent's stack
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(
    program: Program, job: Job, store_url: str, scratch: Path, tell: Callable[[dict[str, Any]], None]
) -> str | None:
    """Run the user's program; what it raised."""
    from advisor.sandbox import Sandbox  # here, since it needs what only systems with fork have

    assign(
        Assignment(
            plan=job.plan, seed=job.seed, session=job.session, trial=job.number, store=store_url, rival=job.rival,
            probes=job.probes, name=program.name, judging=job.judging, quiet=True,
        )
    )  # fmt: skip
    os.environ["MPLBACKEND"] = "Agg"
    if "matplotlib" in sys.modules:
        sys.modules["matplotlib"].use("Agg")
    sys.dont_write_bytecode = True  # the import system writes its caches past the sandbox
    passing = _store_files(store_url)
    own = program.function is not None
    tracing = traced(program.script) if job.traced and program.script is not None else nullcontext()
    with Sandbox(scratch, Path.cwd(), program.folder, passing, appending=own), shift_seeds(shift_of(job.seed)), tracing:
        if program.text is not None and program.script is not None:
            program.script.write_bytes(program.text)  # into the scratch folder: the first write of the trial
        tell({"first_line": time.monotonic()})
        error = _outcome(program, tell)
        atexit._run_exitfuncs()  # those of the user's program: the parent's were forgotten
    return error


def _outcome(program: Program, tell: Callable[[dict[str, Any]], None]) -> str | None:
    try:
        if program.script is not None:
            sys.argv = [str(program.script), *program.arguments]
            sys.path.insert(0, str(program.script.parent))
            runpy.run_path(str(program.script), run_name="__main__")
        elif program.function is not None:
            program.function()
    except SystemExit as leaving:
        return None if leaving.code in (None, 0) else f"SystemExit: {leaving.code}"
    except BaseException as error:  # noqa: BLE001  the user's; shown as Python shows it, and reported
        if isinstance(error, AdvisorError):
            tell({"ours": [type(error).__name__, error.what, error.context, error.hint]})
        inner = error.__traceback__
        while inner is not None and inner.tb_frame.f_code.co_filename.startswith(OURS):
            inner = inner.tb_next
        traceback.print_exception(error.with_traceback(inner or error.__traceback__))
        return _told(error)
    return None


def _leave_parent() -> None:
    """A session of its own, and nothing that belongs to the parent: handlers, finalizers, signals, garbage."""
    os.setsid()
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died in between
            os._exit(1)
    gc.freeze()  # the parent's objects: collecting one here could close its connections, and would copy its pages
    atexit._clear()
    finalizers = vars(weakref.finalize)
    finalizers["_registry"].clear()
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]  # so that the child's own run
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGTERM", "SIGHUP", "SIGCHLD", "SIGALRM"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)


def _redirect_output(log: Path) -> None:
    """Nothing to read, and all that is printed into one file, also by C code and by worker processes."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    to = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for source, target in ((nothing, 0), (to, 1), (to, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(to)
    # New objects: those of the parent may hold its unwritten text, or be a notebook's.
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = open(number, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    faulthandler.enable()


def _limit_threads(threads: int | None) -> None:
    if threads is None:
        return
    torch.set_num_threads(threads)
    if threads == 1:
        setattr(torch, "set_num_threads", lambda _: None)  # noqa: B010  more would wait for threads that the fork did not bring along


def _store_files(store_url: str) -> tuple[Path, ...]:
    if "://" in store_url and not store_url.startswith("sqlite:///"):
        return ()
    path = store_url.removeprefix("sqlite:///")
    return tuple(Path(path + suffix).absolute() for suffix in ("", "-wal", "-shm", "-journal"))


def _told(error: BaseException) -> str:
    """In one line, with the next move where torch does not say it."""
    said = str(error)
    forked = isinstance(error, RuntimeError) and ("forked subprocess" in said or "fork-based" in said)
    return in_one_line(error, FORK_HINT if forked else "")
