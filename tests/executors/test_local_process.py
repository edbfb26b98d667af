"""Trials as real processes: what they start with, and what becomes of the processes they start."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import weakref
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from local_trials import SESSION, STORE, run, script
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor import assignment
from advisor.executors import local
from advisor.plan import Plan
from advisor.trial import Job

pytestmark = pytest.mark.usefixtures("_one_thread")


def test_a_script_runs_as_main() -> None:
    """Its arguments, its name, its folder on the path, no keyboard, and its classes where pickle looks for them."""
    script("answer = 42\n", "neighbour.py")
    program = script(
        """
        import os, pickle, sys
        from neighbour import answer
        class Net: pass
        assert sys.stdin.read() == ""
        os.system("echo from a shell")
        print(__name__, sys.argv, answer, os.getcwd(), type(pickle.loads(pickle.dumps(Net()))).__name__)
        print("problem", file=sys.stderr)
        """
    )
    ((ran, printed),) = run(program)
    assert (ran.status, ran.error) == ("no_watch", None)
    argv = [str(program.script), "--epochs", "3"]
    assert printed == f"from a shell\n__main__ {argv} 42 {Path.cwd()} Net\nproblem\n"
    assert not (Path("project") / "__pycache__").exists()


def test_the_orders_reach_the_trial() -> None:
    """`watch` finds the job, the store and the program's name."""

    def report() -> None:
        orders = assignment.current()
        assert orders is not None
        print(orders.plan, orders.seed, orders.session, orders.trial, orders.probes, orders.quiet, orders.name)
        print(orders.store)

    job = Job(4, Plan.of("dropout", rate=0.5), 3, SESSION, probes=("memorise",))
    ((_, printed),) = run(report, job)
    assert printed == f"dropout(rate=0.5) 3 7 4 ('memorise',) True report\n{Path(STORE).absolute()}\n"
    assert assignment.current() is None


def test_nothing_of_the_parent_ends_in_the_child() -> None:
    """Exit handlers and finalizers of the parent do not run in a trial; those of the program do."""
    there = tempfile.TemporaryDirectory()
    told: list[str] = []
    atexit.register(told.append, "parent")
    kept = weakref.finalize(run, print, "parent's finalizer")

    def program() -> None:
        atexit.register(print, "own handler")
        weakref.finalize(program, print, "own finalizer")
        with suppress(FileNotFoundError):
            Path("left by the handler").unlink()
        atexit.register(lambda: Path("left by the handler").write_text("x"))
        gc.collect()

    ((_, printed),) = run(program)
    assert sorted(printed.split("\n")) == ["", "own finalizer", "own handler"]
    assert Path(there.name).is_dir()
    assert not Path("left by the handler").exists()
    atexit.unregister(told.append)
    kept.detach()
    there.cleanup()


def test_what_the_parent_has_not_yet_written_is_written_once() -> None:
    """Text in the buffers of stdout before the fork is the parent's alone."""
    print("of the parent", end="")
    ((_, printed),) = run(lambda: print("of the child"))
    assert printed == "of the child\n"


def test_worker_processes_end_with_their_trial() -> None:
    """What a program starts and leaves behind is ended when it ends."""

    reader, writer = os.pipe()

    def leaving_a_process() -> None:
        if os.fork() == 0:
            signal.pause()

    ((ran, _),) = run(leaving_a_process)
    os.close(writer)
    assert ran.status == "no_watch"
    assert os.read(reader, 1) == b""  # the end of a pipe that the process would hold open
    os.close(reader)


def test_a_data_loader_with_workers() -> None:
    """Workers are forked by the trial and hand their batches over."""

    def collated(items: list[tuple[torch.Tensor]]) -> torch.Tensor:
        return torch.stack([item[0] for item in items])

    def loading() -> None:
        dataset = TensorDataset(torch.arange(4))
        print([batch.tolist() for batch in DataLoader(dataset, 2, num_workers=1, collate_fn=collated)])

    ((_, printed),) = run(loading)
    assert printed == "[[0, 1], [2, 3]]\n"


def test_the_share_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cores are shared out; never more than torch has now; one where a fork cannot compute, whatever it asks for."""
    with monkeypatch.context() as patched:
        patched.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
        patched.setattr(torch, "get_num_threads", lambda: 4)
        patched.setattr(local, "can_compute", lambda: True)
        assert [local._threads(jobs) for jobs in (1, 2, 3, 8, 20)] == [None, None, 2, 1, 1]
        patched.setattr(local, "can_compute", lambda: False)
        assert local._threads(1) == 1
        patched.setattr(torch, "get_num_threads", lambda: 1)
        assert local._threads(1) == 1
    monkeypatch.setattr(local, "_threads", lambda jobs: 1)

    def asking() -> None:
        torch.set_num_threads(8)
        print(torch.get_num_threads())

    assert [printed for _, printed in run(asking)] == ["1\n"]


def test_a_process_that_computed_with_threads_can_fork() -> None:
    """There, a child that computes with threads would hang: it gets one thread, and ends."""
    text = """
        import torch
        from advisor import child
        from advisor.executors import local
        from advisor.plan import Plan

        torch.set_num_threads(2)
        torch.ones(2**17).sum()
        child.PROBE_LIMIT = 0.3
        local.Program.preload = lambda self: None
        with local.LocalExecutor(local.Program(function=lambda: print(torch.ones(2**17).sum())), "a.db") as executor:
            assert executor._threads == 1
            for ran in executor.run([local.Job(1, Plan(), 0)]):
                print(ran.log.read_text())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(advisor.__file__).parents[1])},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("tensor(131072.)\n\n", "")
