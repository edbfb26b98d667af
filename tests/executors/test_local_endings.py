"""Trials as real processes: how each way of ending is told."""

from __future__ import annotations

import os
import signal
import sys

import pytest
import torch
from local_trials import SESSION, STORE, leave_run, losses, run
from small_training import train
from torch import nn

import advisor
from advisor.errors import AdvisorError, PlanError
from advisor.executors.local import LocalExecutor
from advisor.plan import Plan
from advisor.store import Store
from advisor.trial import Job, Program

pytestmark = pytest.mark.usefixtures("_one_thread")


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
    assert (ran.run, ran.status, ran.error) == (
        info.id,
        "failed",
        f"ValueError: what it says (test_local_endings.py:{line})",
    )
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
    line = f"(test_local_endings.py:{raising.__code__.co_firstlineno + 2})"
    assert [(ran.status, ran.error) for ran, _ in run(raising)] == [("failed", f"KeyError: 'x' {line}")]
    line = f"(test_local_endings.py:{raising_after.__code__.co_firstlineno + 2})"
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
