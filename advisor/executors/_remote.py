"""What a Ray worker does with an order: it forks the trial as the local executor does, and sends back what came of it.

The process of the worker loads torch once and is used again by Ray, so that only its first trial waits for that.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from advisor import __version__
from advisor.errors import AdvisorError, ScriptError, in_one_line
from advisor.executors._shipping import Packed, pack
from advisor.executors.local import LocalExecutor
from advisor.program import Program
from advisor.store import Store
from advisor.trial import Job, Ran

CONTEXT = "--executor ray"
LONGEST_LOG = 1_000_000  # bytes of what a trial printed that are sent back: its end, which has the traceback
_home = Path.cwd()  # where Ray has put this worker: below the job's working_dir, where it has one


@dataclass(frozen=True, slots=True)
class Order:
    """One trial to run somewhere.

    program:     without its function, which is pickled in `function`; a script must have this `fingerprint` here too
    path:        `sys.path` of the machine that orders, for the function's module where machines share their files
    directory:   to run in
    store:       a database that every machine reaches; None for one of the trial's own, whose run is sent back
    threads:     of torch
    """

    program: Program
    job: Job
    function: bytes | None
    fingerprint: str
    path: tuple[str, ...]
    directory: str
    store: str | None
    threads: int
    time_limit: float | None
    version: str = __version__


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it.

    ours:    kind, what, context and hint of `ran.ours`
    refused: those of an error that no trial here could avoid
    """

    ran: Ran | None = None
    run: Packed | None = None
    log: bytes = b""
    ours: tuple[str, str, str, str] | None = None
    refused: tuple[str, str, str, str] | None = None


def carry_out(order: Order) -> Done:
    """Run one trial in a child of this process."""
    try:
        if order.version != __version__:
            raise AdvisorError(
                f"a Ray worker has advisor {__version__}, this machine {order.version}",
                context=CONTEXT,
                hint="install the same version everywhere",
            )
        os.chdir(order.directory if Path(order.directory).is_dir() else _home)
        with tempfile.TemporaryDirectory(prefix="advisor-") as folder:
            own = str(Path(folder) / "advisor.db")
            program, limit = _here(order), order.time_limit
            with LocalExecutor(program, order.store or own, time_limit=limit, threads=order.threads) as executor:
                (ran,) = executor.run([order.job])
                log = ran.log.read_bytes()[-LONGEST_LOG:]
            packed = None
            if order.store is None and ran.run is not None:
                store = Store(own)
                packed = pack(store, ran.run)
                store.close()
            ours = _told(ran.ours) if ran.ours is not None else None
            return Done(dataclasses.replace(ran, ours=None), packed, log, ours=ours)
    except AdvisorError as error:
        return Done(refused=_told(error))


def _told(error: AdvisorError) -> tuple[str, str, str, str]:
    """An error in words: pickled as itself it would lose its hint."""
    return type(error).__name__, error.what, error.context, error.hint


def _here(order: Order) -> Program:
    """The program as it is on this machine. Raises: ScriptError where it is not, or is another one."""
    script = order.program.script
    if script is None:
        sys.path += [folder for folder in order.path if folder not in sys.path]
        try:
            function = pickle.loads(order.function or b"")  # noqa: S301  of the session that we work for
        except Exception as error:
            raise ScriptError(
                f"the function cannot be loaded on the Ray worker {os.uname().nodename}: {in_one_line(error)}",
                context=CONTEXT,
                hint="its module must be installed there, or lie on a file system that all machines share",
            ) from error
        return dataclasses.replace(order.program, function=function)
    inside = script.relative_to(order.directory) if script.is_relative_to(order.directory) else Path(script.name)
    found = [path for path in (script, _home / inside) if path.is_file()]
    for path in found:
        program = dataclasses.replace(order.program, script=path)
        if program.fingerprint == order.fingerprint:
            return program
    how = "is another one on" if found else "is not on"
    raise ScriptError(
        f"the script {how} the Ray worker {os.uname().nodename}",
        context=str(script),
        hint="keep it on a file system that all machines share, or start with "
        "`ray job submit --working-dir . -- advisor fix … --executor ray`",
    )
