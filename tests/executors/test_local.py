"""Trials as real processes: what they start with, what they leave behind, and how each way of ending is told."""

from __future__ import annotations

import atexit
import gc
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_training import train
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor import assignment
from advisor.errors import AdvisorError, PlanError
from advisor.executors import local
from advisor.executors.local import LocalExecutor
from advisor.plan import Plan
from advisor.record import RunInfo
from advisor.store import Store
from advisor.trial import Job, Program, Ran

SESSION = 7
STORE = "store/advisor.db"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """This process has computed; one thread is what its forks can use."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    with pytest.raises(ChildProcessError, match="No child"):  # every child was reaped
        os.waitpid(-1, os.WNOHANG)


def run(program: Program | Callable[[], object], *jobs: Job, **options: Any) -> list[tuple[Ran, str]]:
    """What came of the jobs, each with all that it printed."""
    program = program if isinstance(program, Program) else Program(function=program)
    with LocalExecutor(program, STORE, **options) as executor:
        return [(ran, ran.log.read_text()) for ran in executor.run(jobs or [Job(1, Plan(), 0, SESSION)])]


def script(text: str, name: str = "train.py") -> Program:
    """A program from a file in a folder of its own; `watch` in it is found by the check of the source."""
    folder = Path("project")
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(textwrap.dedent(text) + "\nwatch = None\n")
    return Program.from_script(path.absolute(), ("--epochs", "3"))


def leave_run(status: str = "finished") -> RunInfo:
    """What `watch` leaves in the store, without a training."""
    orders = assignment.current()
    assert orders is not None
    info = RunInfo(status=status, session=orders.session, trial=orders.trial, seed=orders.seed, pid=os.getpid())
    store = Store(orders.store)
    info = info.model_copy(update={"id": store.add_run(info)})
    store.close()
    return info


def losses(run: int | None) -> list[float]:
    assert run is not None
    return [float(v) for v in Store(STORE).record(run).series["train_loss"].values[:, 0]]


# ------------------------------------------------------------------------------------------------------- watched runs


def test_a_watched_training_is_a_run_in_the_store() -> None:
    """The run bears the job's session, number and seed; one seed gives one result and another seed another."""
    seeds = (0, 0, 1)
    ran = [r for r, _ in run(train, *(Job(n, Plan(), seed, SESSION) for n, seed in enumerate(seeds)))]
    assert [(r.status, r.error) for r in ran] == [("finished", None)] * 3
    infos = Store(STORE).runs_of(SESSION)
    assert [(info.id, info.trial, info.seed) for info in infos] == [(r.run, r.job.number, r.job.seed) for r in ran]
    assert losses(ran[0].run) == losses(ran[1].run)
    assert losses(ran[0].run) != losses(ran[2].run)


def test_seed_0_is_the_user_s_own_run() -> None:
    """A trial without plan on seed 0 gives the losses that the program gives by itself, bit for bit."""
    ((ran, _),) = run(train)
    train()
    ((own, _),) = Store().run_infos()
    assert losses(ran.run) == [float(v) for v in Store().record(own.id).series["train_loss"].values[:, 0]]


def test_an_error_in_the_loop_fails_the_run() -> None:
    """The run is marked as failed with what was raised; the rest of its record is there."""

    def breaking() -> None:
        torch.manual_seed(0)
        model = nn.Linear(2, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for epoch in advisor.watch(range(3), model, optimizer):
            nn.functional.cross_entropy(model(torch.ones(4, 2)), torch.zeros(4).long()).backward()
            optimizer.step()
            if epoch == 1:
                raise ValueError("what\nit says")

    ((ran, printed),) = run(breaking)
    (info,) = Store(STORE).runs_of(SESSION)
    line = breaking.__code__.co_firstlineno + 8
    assert (ran.run, ran.status, ran.error) == (info.id, "failed", f"ValueError: what it says (test_local.py:{line})")
    assert (info.status, info.error) == ("failed", ran.error)
    assert printed.startswith("Traceback (most recent call last):\n  File")
    assert "advisor/trial.py" not in printed
    assert "train_loss" in Store(STORE).record(info.id)


def test_an_error_of_ours_comes_back_as_itself() -> None:
    """A plan that cannot be used is a PlanError in the parent too, with its hint and its exit code."""

    def wrong() -> None:
        raise PlanError("there is no remedy 'x'", context="plan", hint="expected dropout")

    [(ran, _)] = run(wrong)
    assert type(ran.ours) is PlanError
    assert str(ran.ours) == "plan: there is no remedy 'x'; expected dropout"
    assert ran.ours.exit_code == 6


def test_the_last_watched_loop_counts() -> None:
    """A program may watch several loops; a job of the same number and seed later finds its own."""

    def twice() -> None:
        leave_run()
        leave_run()

    job = Job(1, Plan(), 0, SESSION)
    assert [ran.run for ran, _ in run(twice, job, job)] == [2, 4]
    ((without, _),) = run(lambda: None, job)
    assert (without.run, without.status) == (None, "no_watch")


def test_runs_without_a_session_are_found() -> None:
    """A job of no session, as that of `advisor fix --diff`, finds its run by its number and seed."""
    ((ran, _),) = run(leave_run, Job(3, Plan(), 2))
    assert (ran.run, ran.status) == (1, "finished")


def test_a_run_that_could_not_say_how_it_ended_is_told() -> None:
    """Left as running: stopped where the program went well, failed where it raised, and its problems are kept."""

    def cut_short() -> None:
        info = leave_run("running")
        Store(STORE).write(info, problems=["gradients: KeyError: 'x'"])

    def raising() -> None:
        leave_run("running")
        raise KeyError("x")

    def raising_after() -> None:
        leave_run("finished")
        raise KeyError("x")

    assert [(ran.status, ran.error) for ran, _ in run(cut_short)] == [("stopped", None)]
    assert Store(STORE).record(1).problems == ("gradients: KeyError: 'x'",)
    line = f"(test_local.py:{raising.__code__.co_firstlineno + 2})"
    assert [(ran.status, ran.error) for ran, _ in run(raising)] == [("failed", f"KeyError: 'x' {line}")]
    line = f"(test_local.py:{raising_after.__code__.co_firstlineno + 2})"
    assert [(ran.status, ran.error) for ran, _ in run(raising_after)] == [("finished", f"KeyError: 'x' {line}")]


def test_a_pruned_run_is_no_failure() -> None:
    """Stopping early leaves by an exception, which is not the user's."""

    def pruned() -> None:
        leave_run("pruned")
        raise SystemExit("clearly worse")

    assert [(ran.status, ran.error) for ran, _ in run(pruned)] == [("pruned", None)]


# ----------------------------------------------------------------------------------------------- ways of not watching


def test_a_program_that_never_watches() -> None:
    """No run, and no error where there was none."""
    ((ran, printed),) = run(lambda: print("trained"))
    assert (ran.run, ran.status, ran.error, printed) == (None, "no_watch", None, "trained\n")


@pytest.mark.parametrize(
    ("leaving", "error"), [(0, None), (None, None), (3, "SystemExit: 3"), ("bad", "SystemExit: bad")]
)
def test_sys_exit(leaving: object, error: str | None) -> None:
    """Leaving with 0 is no error; any other code or message is."""
    ((ran, _),) = run(lambda: sys.exit(leaving))  # type: ignore[arg-type]
    assert (ran.status, ran.error) == ("no_watch", error)


def test_a_process_that_dies_has_crashed() -> None:
    """A signal is named; SIGKILL is what a lack of memory looks like; the run that it left is marked as failed."""

    def aborted() -> None:
        leave_run("running")
        os.abort()

    def killed() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    ((ran, _),) = run(aborted)
    assert (ran.run, ran.status, ran.error) == (1, "crashed", "killed by SIGABRT")
    assert [info.status for info in Store(STORE).runs_of(SESSION)] == ["failed"]
    ((ran, _),) = run(killed)
    assert (ran.run, ran.status, ran.error) == (None, "crashed", "killed by SIGKILL (out of memory?)")
    ((ran, _),) = run(lambda: os._exit(5))
    assert (ran.status, ran.error) == ("crashed", "the process left with exit code 5")


def test_a_run_over_its_time_is_ended() -> None:
    """A program that hangs is ended at the limit, and its run has failed."""

    def hanging() -> None:
        leave_run("running")
        signal.pause()

    store = Store(STORE)
    with LocalExecutor(Program(function=hanging), STORE) as executor:
        descriptor = executor._start(Job(1, Plan(), 0, SESSION))
        while not store.runs_of(SESSION):
            pass
        executor.time_limit = 0.0
        assert executor._ended({descriptor}) == [descriptor]
        ran = executor._finish(executor._running.pop(descriptor))
    assert (ran.run, ran.status, ran.error) == (1, "failed", "ended after 0 s, the time limit")


def test_a_fork_that_cannot_use_the_gpu_gets_a_hint() -> None:
    """torch's message about forks is true and does not help; the next move does."""

    def on_gpu() -> None:
        raise RuntimeError("Cannot re-initialize CUDA in forked subprocess")

    ((ran, _),) = run(on_gpu)
    assert ran.error is not None
    assert "run it as `advisor fix script.py`" in ran.error


def test_a_process_that_holds_the_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No child of it could use the GPU."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with pytest.raises(AdvisorError, match=r"already uses the GPU.*advisor fix script\.py"):
        LocalExecutor(Program(function=dict), STORE)


def test_a_system_without_fork_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows, say."""
    monkeypatch.delattr(os, "fork")
    with pytest.raises(AdvisorError, match="trials need a system that can fork a process"):
        LocalExecutor(Program(function=dict), STORE)


# ------------------------------------------------------------------------------------------------- the trial's process


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


# ------------------------------------------------------------------------------------------------------- many at once


def test_jobs_run_at_the_same_time() -> None:
    """Two trials that wait for each other both end, and all jobs are run."""
    first, second = os.pipe(), os.pipe()

    def meeting() -> None:
        orders = assignment.current()
        assert orders is not None
        mine, other = (first, second) if orders.seed == 0 else (second, first)
        os.write(other[1], b"x")
        os.read(mine[0], 1)

    jobs = [Job(1, Plan(), seed, SESSION) for seed in (0, 1)]
    assert sorted(ran.job.seed for ran, _ in run(meeting, *jobs, jobs=2)) == [0, 1]
    for descriptor in (*first, *second):
        os.close(descriptor)


def test_jobs_are_taken_one_by_one() -> None:
    """A caller may decide on the next job when it has seen the last one."""
    seen: list[int] = []

    def asked() -> Iterator[Job]:
        while len(seen) < 3:
            yield Job(len(seen), Plan(), 0, SESSION)

    with LocalExecutor(Program(function=dict), STORE) as executor:
        for ran in executor.run(asked()):
            seen.append(ran.job.number)
    assert seen == [0, 1, 2]


def test_a_caller_that_stops_asking_ends_what_runs() -> None:
    """Children are ended when the iteration is left, by an exception too, and their runs are marked as interrupted."""
    reader, writer = os.pipe()

    def hanging() -> None:
        orders = assignment.current()
        assert orders is not None
        if orders.seed == 1:
            os.read(reader, 1)  # so that the other one is there
            return
        leave_run("running")
        os.write(writer, b"x")
        signal.pause()

    jobs = [Job(1, Plan(), seed, SESSION) for seed in (0, 1)]
    with pytest.raises(KeyboardInterrupt), LocalExecutor(Program(function=hanging), STORE, jobs=2) as executor:  # noqa: PT012
        for ran in executor.run(jobs):
            assert ran.job.seed == 1
            raise KeyboardInterrupt
    assert [info.status for info in Store(STORE).runs_of(SESSION)] == ["interrupted"]
    os.close(reader)
    os.close(writer)


def test_closing_ends_what_runs_and_deletes_the_logs() -> None:
    """Nothing is left in the temporary folder."""
    executor = LocalExecutor(Program(function=signal.pause), STORE, jobs=2)
    folder = executor._folder
    executor._start(Job(1, Plan(), 2))
    executor.close()
    assert not folder.exists()


def test_rows_survive_the_parent_s_connections() -> None:
    """What a trial writes while the parent opens and closes the store is kept."""
    reader, writer = os.pipe()
    store = Store(STORE)
    store.add_run(RunInfo(name="the parent's, with an open connection"))

    def writing() -> None:
        inner = Store(STORE)
        first = inner.add_run(RunInfo(name="first", session=SESSION))
        os.read(reader, 1)
        inner.write(RunInfo(id=first, name="changed", session=SESSION))
        inner.add_run(RunInfo(name="second", session=SESSION))

    executor = LocalExecutor(Program(function=writing), STORE)
    descriptor = executor._start(Job(1, Plan(), 0, SESSION))
    while not store.runs_of(SESSION):
        pass
    store.close()
    Store(STORE).close()
    os.write(writer, b"x")
    while not executor._running[descriptor].listen():
        pass
    executor.close()
    assert [info.name for info in Store(STORE).runs_of(SESSION)] == ["changed", "second"]
    os.close(reader)
    os.close(writer)


# --------------------------------------------------------------------------------------------------- the user's files

SAVING = """
    import os, pathlib, sys
    import numpy as np, pandas as pd, torch
    from torch import nn
    import advisor

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    start = 0
    if os.path.exists("best.pt"):
        state = torch.load("best.pt")
        model.load_state_dict(state["model"])
        start = state["epoch"]
    print("starts at", start)
    x = torch.randn(8, 4)
    for epoch in advisor.watch(range(2), model, optimizer):
        loss = nn.functional.cross_entropy(model(x), torch.zeros(8).long())
        loss.backward()
        optimizer.step()
        torch.save({"model": model.state_dict(), "epoch": epoch + 1}, "tmp.pt")
        os.replace("tmp.pt", "best.pt")
        with open("log.txt", "a") as log:
            log.write(f"{epoch}\\n")
    folder = pathlib.Path(__file__).parent / "runs" / "new"
    folder.mkdir(parents=True)
    (folder / "notes.md").write_text("done")
    np.savez(folder / "curve.npz", loss=np.ones(3))
    pd.DataFrame({"loss": [1.0]}).to_csv("results.csv")
    if os.path.exists("old.txt"):
        os.remove("old.txt")
    print(torch.load("best.pt")["epoch"], open("log.txt").read().split(), os.path.exists("old.txt"))
    print(sorted(path.name for path in folder.iterdir()), np.load(folder / "curve.npz")["loss"].sum())
    print(sorted(os.listdir(".")))
"""


def tree(folder: Path) -> dict[str, tuple[str, float]]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and "store" not in path.parts)
    return {str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime) for path in files}


@pytest.mark.parametrize("earlier_run", [False, True])
def test_the_user_s_files_are_as_before(earlier_run: bool) -> None:
    """A script that resumes, saves, logs, moves and deletes finds its files as it left them; a trial sees its own."""
    program = script(SAVING)
    if earlier_run:
        torch.save({"model": nn.Linear(4, 2).state_dict(), "epoch": 5}, "best.pt")
        Path("log.txt").write_text("earlier\n")
        Path("old.txt").write_text("old")
        Path("results.csv").write_text("a\n1\n")
    before = tree(Path.cwd())
    done = run(program, *(Job(n, Plan(), n, SESSION) for n in range(3)))
    assert tree(Path.cwd()) == before
    start, log = (5, ["earlier", "0", "1"]) if earlier_run else (0, ["0", "1"])
    there = ["best.pt", "log.txt", "project", "results.csv", "store"]
    expected = f"starts at {start}\n2 {log} False\n['curve.npz', 'notes.md'] 3.0\n{there}\n"
    assert [(ran.status, ran.error, printed) for ran, printed in done] == [("finished", None, expected)] * 3


def test_matched_seeds_without_any_seed_in_the_program() -> None:
    """Two trials on one seed draw the same numbers though the program sets none."""

    def drawing() -> None:
        print(torch.rand(2).tolist(), np.random.rand(2).tolist(), np.random.default_rng().random())

    jobs = [Job(n, Plan(), seed, SESSION) for n, seed in enumerate((1, 1, 2))]
    first, again, other = (printed for _, printed in run(drawing, *jobs))
    assert first == again != other
