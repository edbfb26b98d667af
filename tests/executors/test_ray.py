"""Trials as tasks of a real Ray on this machine, skipped where the extra is not installed; and what needs none."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import small_training
import torch

from advisor import executors
from advisor.errors import AdvisorError, PlanError, ScriptError
from advisor.executors import _remote
from advisor.executors._remote import Order, carry_out
from advisor.executors.local import LocalExecutor
from advisor.executors.ray import RayExecutor, shares
from advisor.plan import Plan
from advisor.store import Store
from advisor.trial import Job, Program, Ran

SESSION = 7
STORE = "store/advisor.db"
on_ray = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Ray of two cores."""
    ray = pytest.importorskip("ray")
    before = signal.getsignal(signal.SIGTERM)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    signal.signal(signal.SIGTERM, before)
    yield ray
    ray.shutdown()


def train() -> None:
    """A training that says how many threads it had."""
    small_training.train()
    print("trained with", torch.get_num_threads(), "thread")


def run(program: Program | Callable[[], object], *jobs: Job, **options: Any) -> list[Ran]:
    program = program if isinstance(program, Program) else Program(function=program)
    with RayExecutor(program, STORE, **options) as executor:
        return list(executor.run(jobs or [Job(1, Plan(), 0, SESSION)]))


def script(text: str) -> Program:
    Path("train.py").write_text(textwrap.dedent(text) + "\nwatch = None\n")
    return Program.from_script(Path("train.py").absolute(), ("--epochs", "3"))


# ---------------------------------------------------------------------------------------------------- with a real Ray


@on_ray
def test_a_run_is_the_one_that_a_local_trial_gives(cluster: Any) -> None:
    """The same series, facts and diagnosis, whatever the machine's clock says; it bears session, number and seed."""
    jobs = [Job(n, Plan(), seed, SESSION) for n, seed in enumerate((0, 1))]
    far = {ran.job.seed: ran for ran in run(train, *jobs, jobs=2)}
    with LocalExecutor(Program(function=train), "local.db", threads=1) as local:
        near = {ran.job.seed: ran for ran in local.run(jobs)}
    assert ["finished", "finished"] == [ran.status for ran in far.values()]
    for seed in (0, 1):
        here, there = Store("local.db").record(near[seed].run or 0), Store(STORE).record(far[seed].run or 0)
        assert (SESSION, seed, seed) == (there.info.session, there.info.trial, there.info.seed)
        assert list(here.series) == list(there.series)
        for name in ("train_loss", "val_loss", "step_loss", "grad_norm"):
            assert here.series[name].axis == there.series[name].axis
            assert here.series[name].values.tolist() == there.series[name].values.tolist()
        assert set(here.facts) == set(there.facts)
        assert Store("local.db").diagnosis(near[seed].run or 0) == Store(STORE).diagnosis(far[seed].run or 0)


@on_ray
def test_a_plan_and_a_log_travel(cluster: Any) -> None:
    """The plan is applied on the worker; what the program printed can be read as long as the executor is open."""
    with RayExecutor(Program(function=train), STORE, jobs=1) as executor:
        (ran,) = executor.run([Job(1, Plan.of("weight_decay", weight_decay=0.1), 0, SESSION)])
        assert "trained with 2 thread\n" == ran.log.read_text()
    info = Store(STORE).record(ran.run or 0).info
    assert {"steps": [{"remedy": "weight_decay", "parameters": {"weight_decay": 0.1}}]} == info.plan


@on_ray
def test_a_script_runs_where_it_lies(cluster: Any) -> None:
    """With its arguments, in the working directory, as main; a value of a closure travels with a function."""
    program = script("import os, sys\nprint(__name__, sys.argv[1:], os.getcwd())")
    with RayExecutor(program, STORE) as executor:
        (ran,) = executor.run([Job(1, Plan(), 0, SESSION)])
        assert f"__main__ ['--epochs', '3'] {Path.cwd()}\n" == ran.log.read_text()
        assert (None, "no_watch", None) == (ran.run, ran.status, ran.error)
    said = "from the closure"
    with RayExecutor(Program(function=lambda: print(said)), STORE) as executor:
        (ran,) = executor.run([Job(1, Plan(), 0, SESSION)])
        assert f"{said}\n" == ran.log.read_text()


@on_ray
def test_what_goes_wrong_in_a_trial_is_told(cluster: Any) -> None:
    """What it raised, an error of ours with its hint, a death of the process, a time limit."""

    def wrong() -> None:
        raise PlanError("there is no remedy 'x'", context="plan", hint="expected dropout")

    def killed() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    (ran,) = run(wrong)
    assert ("no_watch", "plan: there is no remedy 'x'; expected dropout") == (ran.status, str(ran.ours))
    assert type(ran.ours) is PlanError
    (ran,) = run(killed)
    assert ("crashed", "killed by SIGKILL (out of memory?)") == (ran.status, ran.error)
    (ran,) = run(signal.pause, time_limit=0.1)
    assert "ended after 0.1 s, the time limit" == ran.error


@on_ray
def test_a_lost_worker_is_replaced(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The trial is run again on another one."""
    first = tmp_path_factory.mktemp("elsewhere") / "first"  # what lies below the working directory stays in the trial

    def losing_its_worker() -> None:
        if not first.exists():
            first.touch()
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()
        print("again")

    with RayExecutor(Program(function=losing_its_worker), STORE) as executor:
        (ran,) = executor.run([Job(1, Plan(), 0, SESSION)])
        assert "again\n" == ran.log.read_text()


@on_ray
def test_a_caller_that_stops_asking_cancels_the_rest(cluster: Any) -> None:
    """Nothing runs on, and the worker serves the next trial."""

    def quick_or_hanging() -> None:
        from advisor import assignment

        orders = assignment.current()
        if orders is not None and orders.seed:
            signal.pause()

    with RayExecutor(Program(function=quick_or_hanging), STORE, jobs=2) as executor:
        runs = executor.run([Job(1, Plan(), seed, SESSION) for seed in (0, 1)])
        assert 0 == next(runs).job.seed
        runs.close()  # type: ignore[attr-defined]  # a generator
        assert [0] == [ran.job.seed for ran in executor.run([Job(1, Plan(), 0, SESSION)])]


@on_ray
def test_a_function_that_cannot_travel_is_refused(cluster: Any) -> None:
    """An open file, say: before anything is trained, with the next move."""
    with Path("log.txt").open("w") as file:

        def writing() -> None:
            file.write("x")

        with pytest.raises(AdvisorError, match=r"cannot be sent to a Ray worker.*open files, load data"):
            run(writing)


@on_ray
def test_a_script_that_is_another_one_there_is_refused(cluster: Any) -> None:
    """Changed since the session began: its runs would be those of another program."""
    program = script("print('as it was')")
    with RayExecutor(program, STORE) as executor:
        Path("train.py").write_text("print('as it is')")
        with pytest.raises(ScriptError, match="the script is another one on the Ray worker"):
            list(executor.run([Job(1, Plan(), 0, SESSION)]))


@on_ray
def test_sigterm_stays_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray is started where it does not run, ended again, and does not keep SIGTERM, by which a session is ended."""
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: signal.signal(signal.SIGTERM, lambda *_: None))
    ended: list[str] = []
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append("shutdown"))
    monkeypatch.setattr(ray, "nodes", lambda: [node(2)])
    before = signal.getsignal(signal.SIGTERM)
    with RayExecutor(Program(function=train), STORE):
        assert before is signal.getsignal(signal.SIGTERM)
    assert ["shutdown"] == ended


# ------------------------------------------------------------------------------------------------------- without one


def ordered(program: Program, **given: Any) -> Order:
    """An order for one trial in the working directory, on one thread."""
    job = Job(1, Plan(), 0, SESSION)
    usual = {"function": None, "fingerprint": "", "path": (), "directory": str(Path.cwd()), "store": None}
    return Order(program, job, **{**usual, **given}, threads=1, time_limit=None)


def node(cpus: float, gpus: float = 0, *, alive: bool = True) -> dict[str, Any]:
    return {"Alive": alive, "Resources": {"CPU": cpus, **({"GPU": gpus} if gpus else {})}}


@pytest.mark.parametrize(
    ("nodes", "jobs", "gpus", "expected"),
    [
        ([node(8)], None, None, (8, 1, 0.0)),
        ([node(8)], 2, None, (2, 4, 0.0)),
        ([node(2), node(2)], 1, None, (1, 2, 0.0)),
        ([node(2)], 5, None, (5, 1, 0.0)),
        ([node(8), node(8, alive=False)], None, 0.0, (8, 1, 0.0)),
        ([node(0), node(16, 4)], None, None, (4, 4, 1.0)),
        ([node(16, 1)], None, 0.25, (4, 4, 0.25)),
        ([node(16, 2)], None, 0.0, (16, 1, 0.0)),
        ([node(2, 4), node(16)], 2, 1.0, (2, 2, 1.0)),
    ],
)
def test_what_a_trial_gets(
    nodes: list[dict[str, Any]], jobs: int | None, gpus: float | None, expected: tuple[int, int, float]
) -> None:
    """Trials at a time, and the cores and GPUs of each: never more than one machine has; a GPU where there are any."""
    assert expected == shares(nodes, jobs, gpus)


def test_more_gpus_than_any_machine_has() -> None:
    """Such a task would wait for ever."""
    known = "asks for 2 GPUs, and no machine of the cluster has more than 1; ask for fewer"
    with pytest.raises(AdvisorError, match=known):
        shares([node(8, 1), node(8, 1)], None, 2.0)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install; no other executor, and no GPUs for the local one."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(AdvisorError, match=r"Ray, which is not installed; pip install 'advisor\[ray\]'"):
        executors.build("ray", Program(function=train), STORE, jobs=1)
    with pytest.raises(AdvisorError, match="there is no executor 'slurm'; use one of local, ray"):
        executors.build("slurm", Program(function=train), STORE, jobs=1)
    with pytest.raises(AdvisorError, match="the local executor does not share out GPUs"):
        executors.build("local", Program(function=train), STORE, jobs=1, gpus_per_trial=1)


def test_an_order_is_carried_out_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker does is plain Python: the run comes back packed, another version of advisor is refused."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    order = ordered(Program(), function=pickle.dumps(train))
    done = carry_out(order)
    torch.set_num_threads(before)
    assert done.ran is not None
    assert done.run is not None
    assert ("finished", 1, b"trained with 1 thread\n") == (done.ran.status, done.run.info.trial, done.log)
    monkeypatch.setattr(_remote, "__version__", "0.0.0")
    refused = carry_out(order).refused
    assert refused is not None
    assert ("AdvisorError", "install the same version everywhere") == (refused[0], refused[3])


def test_a_script_is_looked_for_below_the_worker_s_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As `ray job submit --working-dir` puts it there; one that is nowhere is refused."""
    program = script("print('x')")
    order = ordered(program, fingerprint=program.fingerprint)
    Path("uploaded").mkdir()
    Path("train.py").rename("uploaded/train.py")
    monkeypatch.setattr(_remote, "_home", tmp_path / "uploaded")
    assert (tmp_path / "uploaded/train.py", ("--epochs", "3")) == (
        _remote._here(order).script, _remote._here(order).arguments
    )  # fmt: skip
    Path("uploaded/train.py").unlink()
    with pytest.raises(ScriptError, match="the script is not on the Ray worker"):
        _remote._here(order)
