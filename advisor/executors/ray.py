"""Jobs -> runs as tasks of Ray, on this machine or on a cluster. Needs the extra: pip install 'advisor[ray]'

RAY_ADDRESS names the cluster ("auto" for one that was started on this machine); without it, and where the program has
not called `ray.init`, a Ray of our own is started. Scripts are read by each worker from a shared file system or from
the working_dir of `ray job submit`, and must be the same there; functions travel with their task. Each task runs its
trial in a fork of its worker, as the local executor does, and sends the run back; where ADVISOR_STORE is a database
server, it is written there at once.

A task whose worker or machine is lost is run again elsewhere.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Self

from advisor import errors
from advisor.errors import AdvisorError
from advisor.executors._remote import CONTEXT, Done, Order, carry_out
from advisor.executors._shipping import unpack
from advisor.plan import Plan
from advisor.store import Store
from advisor.trial import Job, Program, Ran

RETRIES = 3  # of a task whose worker was lost: Ray's own default
CHECK_EVERY = 1.0  # s between two looks for Ctrl-C and SIGTERM
GRACE = 5.0  # s that a cancelled trial has to end by itself


def build(
    program: Program, store_url: str, *, jobs: int | None, time_limit: float | None, gpus_per_trial: float | None
) -> RayExecutor:
    return RayExecutor(program, store_url, jobs=jobs, time_limit=time_limit, gpus_per_trial=gpus_per_trial)


class RayExecutor:
    """Runs trials as Ray tasks; leave it by `with` or `close`, which cancels them all.

    jobs:           tasks at the same time, None for as many as the cluster has room for; each gets its share of cores
    time_limit:     s after which a run is ended and counts as failed
    gpus_per_trial: None for one where the cluster has any

    Raises: AdvisorError where Ray is not installed, cannot be reached, or has too few GPUs.
    """

    def __init__(
        self,
        program: Program,
        store_url: str,
        *,
        jobs: int | None = None,
        time_limit: float | None = None,
        gpus_per_trial: float | None = None,
    ) -> None:
        self._ray = _imported()
        function = _pickled(self._ray, program) if program.function is not None else None
        self._own = not self._ray.is_initialized()
        if self._own:
            _connect(self._ray)
        try:
            self.jobs, self._threads, self._gpus = shares(self._ray.nodes(), jobs, gpus_per_trial)
        except AdvisorError:
            self.close()
            raise
        self._store = Store(store_url)
        self._folder = Path(tempfile.mkdtemp(prefix="advisor-"))
        self._numbers = count(1)
        self._task = self._ray.remote(carry_out).options(
            num_cpus=self._threads, num_gpus=self._gpus, max_retries=RETRIES, name=f"advisor {program.name}"
        )
        self._order = Order(
            program=dataclasses.replace(program, function=None),
            function=function,
            path=tuple(filter(None, sys.path)),
            job=Job(0, Plan(), 0),
            fingerprint=program.fingerprint if program.script is not None else "",
            directory=str(Path.cwd()),
            store=None if self._store.path is not None or store_url.startswith("sqlite:") else store_url,
            threads=self._threads,
            time_limit=time_limit,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, jobs: Iterable[Job]) -> Iterator[Ran]:
        """Run the jobs, as many at once as the executor may; what came of them, in the order in which they end.

        A caller that stops asking cancels the tasks that still run.
        """
        waiting, pending = iter(jobs), dict[Any, tuple[Job, float]]()
        try:
            while True:
                while len(pending) < self.jobs and (job := next(waiting, None)) is not None:
                    task = self._task.remote(dataclasses.replace(self._order, job=job))
                    pending[task] = job, time.monotonic()
                if not pending:
                    return
                ended, _ = self._ray.wait(list(pending), num_returns=1, timeout=CHECK_EVERY)
                for task in ended:
                    yield self._ran(task, *pending.pop(task))
        finally:
            self._cancel(list(pending))

    def close(self) -> None:
        """Let go of Ray, where it was started here, and delete the logs."""
        if self._own:
            self._ray.shutdown()
        if hasattr(self, "_store"):
            self._store.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    # ------------------------------------------------------------------------------------------------------- inside

    def _ran(self, task: Any, job: Job, began: float) -> Ran:
        """What came of a task that has ended. Raises: AdvisorError where no worker can run the program."""
        log = self._folder / f"{next(self._numbers)}-trial-{job.number}-seed-{job.seed}.txt"
        try:
            done: Done = self._ray.get(task)
        except self._ray.exceptions.RayTaskError as error:
            raise AdvisorError(
                f"a Ray worker could not run a trial: {str(error).strip().splitlines()[-1]}",
                context=CONTEXT,
                hint="every worker needs the same Python, torch and advisor as this machine",
            ) from error
        except self._ray.exceptions.RayError as error:  # the worker, its machine or its memory, again and again
            what = f"{type(error).__name__}: {' '.join(str(error).split())}"[: errors.LONGEST_LINE]
            return Ran(job, None, "crashed", what, time.monotonic() - began, 0.0, log)
        if done.refused is not None:
            raise errors.rebuilt(*done.refused)
        assert done.ran is not None  # it was not refused
        log.write_bytes(done.log)
        run = unpack(self._store, done.run) if done.run is not None else done.ran.run
        ours = errors.rebuilt(*done.ours) if done.ours is not None else None
        return dataclasses.replace(done.ran, job=job, run=run, log=log, ours=ours)

    def _cancel(self, tasks: list[Any]) -> None:
        """End trials as Ctrl-C would, and after a while for good."""
        if not tasks or not self._ray.is_initialized():
            return
        with suppress(self._ray.exceptions.RayError):
            for task in tasks:
                self._ray.cancel(task)
            _, left = self._ray.wait(tasks, num_returns=len(tasks), timeout=GRACE)
            for task in left:
                self._ray.cancel(task, force=True)


def shares(nodes: list[dict[str, Any]], jobs: int | None, gpus_per_trial: float | None) -> tuple[int, int, float]:
    """What `ray.nodes()` lists -> trials at the same time, and the cores and GPUs of each.

    Raises: AdvisorError where no trial would ever find the GPUs that it asks for.
    """
    there = [node["Resources"] for node in nodes if node.get("Alive")]
    cpus = [int(found.get("CPU", 0)) for found in there]
    gpus = [float(found.get("GPU", 0)) for found in there]
    wanted = gpus_per_trial if gpus_per_trial is not None else float(max(gpus, default=0) >= 1)
    if wanted > max(gpus, default=0):
        raise AdvisorError(
            f"a trial asks for {wanted:g} GPUs, and no machine of the cluster has more than {max(gpus, default=0):g}",
            context="--gpus-per-trial",
            hint="ask for fewer, a fraction lets trials share one; RAY_ADDRESS names another cluster",
        )
    room = sum(min(c, int(g / wanted)) for c, g in zip(cpus, gpus, strict=True)) if wanted else sum(cpus)
    at_once = jobs or max(1, room)
    widest = max((c for c, g in zip(cpus, gpus, strict=True) if g >= wanted), default=1)
    return at_once, max(1, min(widest, sum(cpus) // at_once)), wanted


def _pickled(ray: Any, program: Program) -> bytes:
    """The function, with its closure, and by value where it is of `__main__` or of a notebook."""
    try:
        return bytes(ray.cloudpickle.dumps(program.function))
    except Exception as error:
        raise AdvisorError(
            f"the function cannot be sent to a Ray worker: {errors.in_one_line(error)}",
            context=CONTEXT,
            hint="open files, load data and build the model inside of the function, or give a script",
        ) from error


def _imported() -> Any:
    try:
        import ray
    except ImportError as error:
        raise AdvisorError(
            "the ray executor needs Ray, which is not installed", context=CONTEXT, hint="pip install 'advisor[ray]'"
        ) from error
    return ray


def _connect(ray: Any) -> None:
    """To RAY_ADDRESS, or to a Ray of our own, without a word and without statistics sent."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    where = os.environ.get("RAY_ADDRESS") or "local"  # without it Ray would wait for a cluster that has gone from here
    with _own_handlers():
        try:
            ray.init(address=where, include_dashboard=False, log_to_driver=False, logging_level="error")
        except (ConnectionError, OSError, ValueError, RuntimeError) as error:
            raise AdvisorError(
                f"Ray cannot be reached: {errors.in_one_line(error)}",
                context=f"RAY_ADDRESS={where}",
                hint="`ray status` shows whether it runs; a cluster with a token needs RAY_AUTH_TOKEN here too; "
                "without RAY_ADDRESS a Ray of our own is started on this machine",
            ) from error


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Ray takes SIGTERM for itself; whoever had it gets it back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
