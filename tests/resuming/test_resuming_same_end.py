"""A session that was interrupted and goes on ends as one that never was."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from interruptions import Dying, Killed, killed, made, same, score, stored, world
from worlds import Fraction, World, diagnosed, remedy, run

from advisor import plan_file
from advisor.events import Event, Resumed
from advisor.plan import Plan
from advisor.remedies import load_remedies
from advisor.session import FixSession
from advisor.store import Store
from advisor.trial import Job, Ran


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], tuple[int, dict[str, Any]]]:
    """How many trainings the session takes that nobody interrupts, and what it comes to."""
    folder = tmp_path_factory.mktemp("whole")

    @cache
    def once() -> tuple[int, dict[str, Any]]:
        uninterrupted = world(Store(str(folder / "a.db")))
        done = run(uninterrupted, budget=40)
        return len(uninterrupted.jobs), same(done.session)

    return once


@pytest.mark.parametrize("eighth", range(9))
def test_it_ends_as_if_it_had_not_been_interrupted(
    eighth: int, whole: Callable[[], tuple[int, dict[str, Any]]]
) -> None:
    """Power off before any training: the same trials, verdicts, plan and budget, and no training is done twice."""
    trainings, expected = whole()
    store = made("a.db")
    first = world(store)
    first.off_at = 1 + eighth * (trainings - 1) // 8
    with pytest.raises(Killed, match="power"):
        run(first, budget=40)
    killed(stored(store), store)
    second = world(store)
    done = run(second, resume=True)
    assert expected == same(done.session)
    assert trainings == len(first.jobs) + len(second.jobs)
    assert [1] == [number for number, _, _ in store.session_documents()]


def test_it_may_be_interrupted_again_and_again(whole: Callable[[], tuple[int, dict[str, Any]]]) -> None:
    """Three trainings at a time, by Ctrl-C, which writes down how far it came."""
    trainings, expected = whole()
    store = made("a.db")
    done = run(World(store, score, world(store).diagnosis, interrupt_at=4), budget=40)
    assert "interrupted" == done.session.status
    for _ in range(trainings // 3):
        next_one = World(store, score, world(store).diagnosis, interrupt_at=4)
        done = run(next_one, resume=True)
        if len(next_one.jobs) < 4:
            break
    assert expected == same(done.session)


def test_it_goes_on_with_what_it_was_begun_with() -> None:
    """Budget, time and seeds are those of the beginning, and the time that was spent counts."""
    store = made("a.db")
    first = world(store)
    first.off_at = 3
    with pytest.raises(Killed, match="power"):
        run(first, budget=12.5, seeds=6, seconds=5000)
    left = killed(stored(store), store)
    store.save_session(left.model_copy(update={"seconds": 1000.0}).model_dump_json(), "running", left.id)
    events: list[Event] = []
    done = run(world(store), resume=True, budget=20, on_event=events.append)
    assert done.session.start is not None
    assert (12.5, 6, 5000) == (done.session.budget, done.session.start.seeds, done.session.start.seconds)
    assert done.session.seconds > 1000
    assert Resumed(1, 2) in events


def test_what_an_experiment_added_to_a_run_is_not_known_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run is diagnosed by what it had shown itself; the experiment is judged again from its trainings."""
    subset = remedy("subset", "subset", (0.25, 0.5), parameters=Fraction)
    monkeypatch.setitem(load_remedies(), "subset", subset)
    store = made("a.db")
    asks = diagnosed("good", probes=("data_fractions",))

    def dying(off_at: int | None = None) -> Dying:
        made = Dying(store, lambda plan, seed: score(Plan(), seed), lambda _: asks)
        made.off_at = off_at
        return made

    with pytest.raises(Killed, match="power"):
        run(dying(off_at=10), budget=30, force=True)
    left = killed(stored(store), store)
    (baseline,) = [t for t in left.trainings if (t.plan, t.seed) == (Plan(), 0)]
    assert baseline.run is not None
    assert asks == baseline.diagnosis
    assert "probe.data_fractions" in store.record(baseline.run).facts
    assert "probe.data_fractions" not in baseline.facts
    done = run(dying(), resume=True)
    assert [t.plan for t in left.trials] == [t.plan for t in done.session.trials[: len(left.trials)]]


class LastFirst(Dying):
    """Of trainings that run side by side the last one ends first."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Ran]:
        return super().run(list(jobs)[::-1])


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_it_tries_the_same_with_any_number_of_jobs(jobs: int) -> None:
    """Two at a time when it was begun: what was chosen together is chosen together again."""
    whole, store = Store(str(Path("whole.db").absolute())), made("a.db")
    alone = LastFirst(whole, score, world(whole).diagnosis)
    expected = same(run(alone, budget=40, jobs=2).session)
    first = LastFirst(store, score, world(store).diagnosis)
    first.off_at = len(alone.jobs) // 2
    with pytest.raises(Killed, match="power"):
        run(first, budget=40, jobs=2)
    killed(stored(store), store)
    second = LastFirst(store, score, world(store).diagnosis)
    done = run(second, resume=True, jobs=jobs)
    assert expected == same(done.session)
    assert len(alone.jobs) == len(first.jobs) + len(second.jobs)


def test_the_plan_file_is_written_again(whole: Callable[[], tuple[int, dict[str, Any]]]) -> None:
    """What was accepted before the interruption stands in the file afterwards."""
    trainings, _ = whole()
    store = made("a.db")
    done = run(World(store, score, world(store).diagnosis, interrupt_at=trainings), budget=40)
    assert "interrupted" == done.session.status
    done = run(world(store), resume=True)
    assert Plan.load(plan_file.DEFAULT) == done.plan


SCRIPT = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import advisor

torch.manual_seed(0)
x = torch.randn(256, 8)
y = (x[:, 0] * x[:, 1] > 0).long()
train_loader = DataLoader(TensorDataset(x[:128], y[:128]), 32, shuffle=True)
val_loader = DataLoader(TensorDataset(x[128:], y[128:]), 128)
model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
for _ in advisor.watch(range(3), model, optimizer, nn.CrossEntropyLoss(), train=train_loader, val=val_loader):
    for inputs, targets in train_loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
"""
FIXING = """
import os, signal, sys
import torch
import advisor
from advisor.events import RunDone

torch.set_num_threads(1)
store, resume, left = sys.argv[1], sys.argv[2] == "resume", int(sys.argv[3])

def on_event(event):
    global left
    left -= isinstance(event, RunDone)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

options = {"budget": 12, "jobs": 2, "force": True, "report": False}
advisor.fix("train.py", store=store, resume=resume, on_event=on_event, **options)
"""


def test_a_session_that_was_killed_goes_on() -> None:
    """SIGKILL while real trainings are under way: the scores of every trial are those of a session left alone."""
    Path("train.py").write_text(SCRIPT)

    def fixing(store: str, *words: str) -> tuple[int, FixSession]:
        ended = subprocess.run([sys.executable, "-c", FIXING, store, *words], check=False)
        return ended.returncode, stored(made(store))

    code, alone = fixing("alone.db", "begin", "-1")
    assert (0, "finished") == (code, alone.status)
    code, left = fixing("killed.db", "begin", "8")
    assert (-signal.SIGKILL, "running", 8) == (code, left.status, len(left.trainings))
    code, done = fixing("killed.db", "resume", "-1")
    assert (0, "finished") == (code, done.status)
    assert [(t.plan, t.seeds, t.scores) for t in alone.trials] == [(t.plan, t.seeds, t.scores) for t in done.trials]
    assert (alone.plan, alone.spent) == (done.plan, done.spent)
    assert not any(info.status == "running" for info in made("killed.db").runs_of(1))
