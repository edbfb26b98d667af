"""Jobs -> runs, each in a child forked from this process, which has torch loaded and never computes with it."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Literal

import torch

from advisor import errors
from advisor.child import Child, can_compute, fork, tell
from advisor.errors import AdvisorError
from advisor.record import RunInfo, Status
from advisor.store import Store
from advisor.trial import Job, Program, Ran, run_here

CHECK_EVERY = 1.0  # s; the end of a child is told by its pipe, this is for what a grandchild keeps open


def build(
    program: Program, store_url: str, *, jobs: int | None, time_limit: float | None, gpus_per_trial: float | None
) -> LocalExecutor:
    """One job a core by default. Raises: AdvisorError as `LocalExecutor` does, and for GPUs, not shared out here."""
    if gpus_per_trial:
        raise AdvisorError(
            "the local executor does not share out GPUs: every trial sees all of them",
            context="gpus_per_trial",
            hint='use the ray executor for that: --executor ray, executor="ray"',
        )
    return LocalExecutor(program, store_url, jobs=jobs or os.cpu_count() or 1, time_limit=time_limit)


class LocalExecutor:
    """Runs trials of a program as children of this process; leave it by `with` or `close`, which ends them all.

    jobs:       children at the same time; each gets its share of the cores
    time_limit: s after which a run is ended and counts as failed
    threads:    of torch in each child; by default its share of the cores

    Raises: AdvisorError where the system cannot fork, or this process already holds a GPU, which no child could use.
    """

    def __init__(
        self,
        program: Program,
        store_url: str,
        *,
        jobs: int = 1,
        time_limit: float | None = None,
        threads: int | None = None,
    ) -> None:
        if not hasattr(os, "fork"):
            raise AdvisorError(
                f"trials need a system that can fork a process, which {sys.platform} cannot",
                context="advisor fix",
                hint="use Linux, macOS or WSL",
            )
        self.program, self.jobs, self.time_limit = program, max(1, jobs), time_limit
        os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # so that asking for a GPU does not take hold of it
        program.preload()
        _check_gpu()
        self._store = Store(store_url)
        self._url = str(self._store.path) if self._store.path is not None else store_url
        self._folder = Path(tempfile.mkdtemp(prefix="advisor-"))
        self._numbers = count(1)
        self._running: dict[int, Child] = {}  # by the descriptor of the pipe
        self._attributed: dict[int | None, set[int]] = {}  # session -> runs that belong to jobs that are done
        self._threads = threads if threads is not None else _threads(self.jobs)

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, jobs: Iterable[Job]) -> Iterator[Ran]:
        """Run the jobs, as many at once as the executor may; what came of them, in the order in which they end.

        Jobs are taken one by one as there is room. A caller that stops asking ends the children that still run.
        """
        waiting = iter(jobs)
        mine: set[int] = set()
        try:
            while True:
                while len(mine) < self.jobs and (job := next(waiting, None)) is not None:
                    mine.add(self._start(job))
                if not mine:
                    return
                for descriptor in self._ended(mine):
                    mine.remove(descriptor)
                    yield self._finish(self._running.pop(descriptor))
        finally:
            for descriptor in mine & set(self._running):  # `close` may have been faster
                self._end(self._running.pop(descriptor))

    def close(self) -> None:
        """End what runs, and delete the scratch folders with their logs."""
        for descriptor in list(self._running):
            self._end(self._running.pop(descriptor))
        self._store.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # ------------------------------------------------------------------------------------------------------- inside

    def _start(self, job: Job) -> int:
        if job.session not in self._attributed:
            self._attributed[job.session] = {info.id for info in self._runs(job.session)}
        scratch = self._folder / f"{next(self._numbers)}-trial-{job.number}-seed-{job.seed}"
        scratch.mkdir()
        reader, writer = os.pipe()
        started = time.monotonic()
        pid = fork()
        if pid == 0:
            try:
                os.close(reader)
                os.register_at_fork(after_in_child=lambda: os.close(writer))  # the pipe's end is this child's end
                run_here(self.program, job, self._url, scratch, threads=self._threads, tell=partial(tell, writer))
            finally:
                os._exit(1)
        os.close(writer)
        self._running[reader] = Child(job, pid, reader, scratch, started)
        return reader

    def _ended(self, descriptors: set[int]) -> list[int]:
        """Wait until one of these children at least has ended."""
        while True:
            ready, _, _ = select.select(list(descriptors), [], [], CHECK_EVERY)
            found = []
            for descriptor in descriptors:
                child = self._running[descriptor]
                if (descriptor in ready and child.listen()) or child.is_over():
                    found.append(descriptor)
                elif self.time_limit is not None and time.monotonic() - child.started > self.time_limit:
                    child.overran = True
                    child.end()
                    found.append(descriptor)
            if found:
                return found

    def _finish(self, child: Child) -> Ran:
        """Reap the child, find its run, and make both agree on what happened."""
        code = child.reap()
        seconds = time.monotonic() - child.started
        shutil.rmtree(child.scratch / "files", ignore_errors=True)  # checkpoints of all trials would fill the disk
        error, crashed = self._verdict(child, code)
        info = self._find(child)
        status: Status | Literal["no_watch", "crashed"]
        if info is None:
            status = "crashed" if crashed else "no_watch"
        else:
            info = self._settle(info, error)
            status = "crashed" if crashed else info.status
            error = None if info.status == "pruned" else error or info.error
        run = info.id if info is not None else None
        start = child.said.get("first_line", child.started) - child.started
        ours = errors.rebuilt(*child.said["ours"]) if "ours" in child.said else None
        return Ran(child.job, run, status, error, seconds, start, child.scratch / "log.txt", ours)

    def _verdict(self, child: Child, code: int) -> tuple[str | None, bool]:
        """(what went wrong, whether the process died of it)."""
        if child.overran:
            return f"ended after {self.time_limit:g} s, the time limit", False
        if code < 0:
            name = signal.Signals(-code).name
            return f"killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}", True
        if "error" not in child.said:
            return f"the process left with exit code {code}", code != 0
        error = child.said["error"]
        return None if error is None else str(error), False

    def _find(self, child: Child) -> RunInfo | None:
        """The last run that bears the job's number and seed, of this very process where it says so."""
        job, known = child.job, self._attributed[child.job.session]
        runs = [info for info in self._runs(job.session) if info.id not in known]
        runs = [info for info in runs if info.trial == job.number and info.seed == job.seed]
        runs = [info for info in runs if info.pid == child.pid] or runs
        known.update(info.id for info in runs)
        return runs[-1] if runs else None

    def _runs(self, session: int | None) -> list[RunInfo]:
        return self._store.runs_of(session) if session is not None else [info for info, _ in self._store.run_infos()]

    def _settle(self, info: RunInfo, error: str | None) -> RunInfo:
        """A run that could not say how it ended is told."""
        status: Status = info.status
        if error is not None and status in ("running", "stopped", "interrupted"):
            status = "failed"
        elif status == "running":
            status = "stopped"
        said = info.error or (error if status == "failed" else None)
        if (status, said) == (info.status, info.error):
            return info
        settled = info.model_copy(update={"status": status, "error": said, "ended": info.ended or time.time()})
        self._store.write(settled, problems=self._store.record(info.id).problems)
        return settled

    def _end(self, child: Child) -> None:
        """End a child that nobody waits for any more."""
        child.end()
        child.reap()
        info = self._find(child)
        if info is not None and info.status == "running":
            interrupted = info.model_copy(update={"status": "interrupted", "ended": time.time()})
            self._store.write(interrupted, problems=self._store.record(info.id).problems)


def _check_gpu() -> None:
    """Raises: AdvisorError where children could not use the GPU."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        raise AdvisorError(
            "this process already uses the GPU, so trials forked from it could not",
            context="advisor.fix",
            hint="run `advisor fix script.py`, or call advisor.fix before anything is on the GPU",
        )


def _threads(jobs: int) -> int | None:
    """Threads of torch for each of so many children; None where that is what torch has now.

    A process that computed with several threads leaves a fork waiting for them (libgomp), unless it asks for one.
    """
    now = torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = max(1, min(now, cores // jobs))
    if now > 1 and not can_compute():
        return 1
    return None if share == now > 1 else share
