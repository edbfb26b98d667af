"""A session that was interrupted goes on: it ends as one that never was, and repeats only what was under way."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from worlds import HEALTHY, Fraction, World, change, diagnosed, noise, only, program, remedy, run

from advisor import plan_file
from advisor.errors import AdvisorError
from advisor.events import Event, Resumed
from advisor.fixing import Fix, fix
from advisor.listing import list_runs
from advisor.plan import Plan
from advisor.processes import gone, mark
from advisor.remedies import load_remedies
from advisor.report import SessionReport, load_report
from advisor.resuming import Replay, begun, noted, told_again
from advisor.session import FixSession, Start, Training
from advisor.store import Store
from advisor.trial import Job, Program, Ran

HERE = socket.gethostname()


class Killed(BaseException):
    """As if the process had gone: nothing is written after it."""


class Dying(World):
    """A world in which the power goes off before the given job."""

    off_at: int | None = None

    def run(self, jobs: Iterable[Job]) -> Iterator[Ran]:
        for job in jobs:
            if len(self.jobs) + 1 == self.off_at:
                raise Killed
            yield from super().run([job])


@pytest.fixture(autouse=True)
def _only_these_remedies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    only(
        monkeypatch, remedy("bad", "layers"), remedy("good", "inputs", (1.0, 2.0)), remedy("more", "decay"),
        remedy("crash", "loss"),
    )  # fmt: skip


def score(plan: Plan, seed: int) -> float | str:
    """good helps, twice as strong helps more; bad is a clear loser, which is stopped early; crash raises."""
    worth = {"bad": -0.4, "good": 0.1, "more": 0.05}
    if any(step.remedy == "crash" for step in plan.steps):
        return "ValueError: bad luck"
    gain = sum(worth[step.remedy] * float(step.parameters["strength"]) for step in plan.steps)  # type: ignore[arg-type]
    return 0.5 + gain + noise(plan, seed, 0.005)


def world(store: Store) -> Dying:
    return Dying(store, score, lambda plan: diagnosed("bad", "good", "more", "crash"))


def made(path: str) -> Store:
    return Store(str(Path(path).absolute()))


def same(session: FixSession) -> dict[str, Any]:
    """What a session came to, without the clock, the process and the ids of runs."""
    whole = session.model_dump(mode="json", exclude={"seconds", "host", "pid", "process", "start"})
    for trial in whole["trials"]:
        trial["runs"] = len(trial["runs"])
    for training in whole["trainings"]:
        training["run"] = training["elapsed"] = None
    return whole


def killed(session: FixSession, store: Store) -> FixSession:
    """The session as a process left it that could not say that it ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    left = session.model_copy(update={"status": "running", "error": None, "pid": process.pid, "process": ""})
    store.save_session(left.model_dump_json(), "running", session.id)
    return left


def stored(store: Store) -> FixSession:
    number, _, text = store.session_documents()[-1]
    return FixSession.model_validate_json(text).model_copy(update={"id": number})


# ------------------------------------------------------------------------------------------------------- going on


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
    with pytest.raises(Killed):
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
    with pytest.raises(Killed):
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

    with pytest.raises(Killed):
        run(dying(off_at=10), budget=30, force=True)
    left = killed(stored(store), store)
    (baseline,) = [t for t in left.trainings if (t.plan, t.seed) == (Plan(), 0)]
    assert baseline.run is not None
    assert asks == baseline.diagnosis
    assert "probe.data_fractions" in store.record(baseline.run).facts
    assert "probe.data_fractions" not in baseline.facts
    done = run(dying(), resume=True)
    assert [t.plan for t in left.trials] == [t.plan for t in done.session.trials[: len(left.trials)]]


def test_what_nobody_asks_for_again_was_spent_all_the_same() -> None:
    """Charged once: where the search goes another way, or when it is asked for after all."""
    plan, job = change("good"), Job(1, change("good"), 0)
    trained = [_training(plan, 0, 0.5), _training(plan, 1, 0.25), _training(Plan(), 1, 1.0)]
    replay = Replay(trained)
    assert [(job, trained[0], 0.5)] == replay.take([job])
    assert [] == replay.take([job])
    assert (1.25, 0.0) == (replay.rest(), replay.rest())
    assert [0.0] == [cost for _, _, cost in replay.take([Job(0, Plan(), 1)])]


def test_a_training_that_was_stopped_answers_only_who_may_be_stopped() -> None:
    """A confirmation of the same plan on the same seed needs the whole of it."""
    from advisor.assignment import Rival

    stopped = _training(change("good"), 0, 0.5).model_copy(update={"status": "pruned"})
    whole = _training(change("good"), 0, 1.0)
    replay = Replay([stopped, whole])
    job = Job(1, change("good"), 0)
    assert [whole] == [training for _, training, _ in replay.take([job])]
    rival = Job(1, change("good"), 0, rival=Rival({}, 0.0))
    assert [stopped] == [training for _, training, _ in replay.take([rival])]


def test_a_training_is_told_again_as_it_was() -> None:
    """An error of ours among it."""
    error = AdvisorError("what", context="where", hint="next")
    ran = Ran(Job(3, change("good"), 2), None, "no_watch", "KeyError: x", 4.0, 0.5, Path(os.devnull), error)
    again = told_again(noted(ran, 1.0, 9.0), ran.job)
    assert (str(error), type(error)) == (str(again.ours), type(again.ours))
    assert (ran.job, ran.status, ran.error, ran.seconds, "") == (
        again.job,
        again.status,
        again.error,
        again.seconds,
        again.tail,
    )


def test_what_was_killed_and_what_it_failed_with_is_repeated() -> None:
    """A reboot kills a training before it kills us; and a session that failed goes on where the cause was mended."""
    store = made("a.db")
    fail = True

    def mended(plan: Plan, seed: int) -> float | str:
        return "OSError: no space left" if fail else score(plan, seed)

    with pytest.raises(AdvisorError, match="no space left"):
        run(World(store, mended, lambda _: HEALTHY))
    fail = False
    left = stored(store)
    assert ("failed", ["failed"]) == (left.status, [t.status for t in left.trainings])
    done = run(World(store, mended, lambda _: HEALTHY), resume=True)
    assert ("finished", None, ["finished"]) == (
        done.session.status, done.session.error, [t.status for t in done.session.trainings]
    )  # fmt: skip


def test_what_it_failed_with_is_repeated_though_another_training_ended_after_it() -> None:
    """The first run raises, the one beside it comes to its end: only the first is made again."""
    store = made("a.db")
    fail = True

    def mended(plan: Plan, seed: int) -> float | str:
        return "OSError: no space left" if fail and seed == 0 else score(plan, seed)

    with pytest.raises(AdvisorError, match="no space left"):
        run(World(store, mended, lambda _: HEALTHY), jobs=2)
    assert ["failed", "finished"] == [training.status for training in stored(store).trainings]
    fail = False
    second = World(store, mended, lambda _: HEALTHY)
    assert "finished" == run(second, resume=True).session.status
    assert [0] == [job.seed for job in second.jobs]


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
    with pytest.raises(Killed):
        run(first, budget=40, jobs=2)
    killed(stored(store), store)
    second = LastFirst(store, score, world(store).diagnosis)
    done = run(second, resume=True, jobs=jobs)
    assert expected == same(done.session)
    assert len(alone.jobs) == len(first.jobs) + len(second.jobs)


def test_runs_that_were_under_way_are_told_that_they_ended() -> None:
    """They are interrupted, and nothing that they measured is lost."""
    store = made("a.db")
    first = world(store)
    first.off_at = 2
    with pytest.raises(Killed):
        run(first)
    killed(stored(store), store)
    under_way = store.runs_of(1)[0].model_copy(update={"status": "running", "ended": None})
    under_way = under_way.model_copy(update={"id": store.add_run(under_way)})
    run(world(store), resume=True)
    assert "interrupted" == store.record(under_way.id).info.status


# ----------------------------------------------------------------------------------------------------- being refused


def interrupted(store: Store, **options: Any) -> None:
    first = world(store)
    first.off_at = 3
    with pytest.raises(Killed):
        run(first, **options)
    killed(stored(store), store)


def test_there_is_none() -> None:
    """An empty store, and one whose only session came to its end."""
    store = made("a.db")
    with pytest.raises(AdvisorError, match=r"there is no interrupted session of .*program in this store"):
        run(world(store), resume=True)
    run(world(store), budget=1)
    with pytest.raises(AdvisorError, match=r"has come to its end \(session 1\)"):
        run(world(store), resume=True)


def test_it_is_still_running() -> None:
    """The process lives: two would do the work twice."""
    store = made("a.db")
    interrupted(store)
    alive = {"pid": os.getpid(), "host": HERE, "process": mark(os.getpid())}
    store.save_session(stored(store).model_copy(update=alive).model_dump_json(), "running", 1)
    with pytest.raises(AdvisorError, match=f"session 1 is still running .process {os.getpid()} on {HERE}"):
        run(world(store), resume=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"strategy": "random"}, "was begun with the strategy rules, not with random"),
        ({"metric": "val_loss"}, "was begun with the metric of the program, not with val_loss"),
    ],
)
def test_something_else_is_asked_for(options: dict[str, Any], says: str) -> None:
    """Its trainings would answer another question."""
    store = made("a.db")
    interrupted(store)
    with pytest.raises(AdvisorError, match=f"session 1 of .*program cannot go on: it {says}"):
        run(world(store), resume=True, **options)


def test_the_script_has_changed() -> None:
    """Or one of the modules beside it, or its arguments: its trainings are those of another program."""
    Path("train.py").write_text("import net\nimport advisor\nadvisor.watch\n")
    Path("net.py").write_text("width = 8\n")
    store = made("a.db")
    first = world(store)
    first.off_at = 3

    def go(world: World, **options: Any) -> Fix:
        return fix("train.py", store=store, executor=world, report=False, **options)

    with pytest.raises(Killed):
        go(first, arguments=("--lr", "1"))
    killed(stored(store), store)
    with pytest.raises(AdvisorError, match="begun with the arguments --lr 1, not with no arguments"):
        go(world(store), resume=True)
    Path("net.py").write_text("width = 16\n")
    with pytest.raises(AdvisorError, match=r"session 1 of train\.py cannot go on: the program has changed since"):
        go(world(store), resume=True, arguments=("--lr", "1"))
    Path("net.py").write_text("width = 8\n")
    assert "finished" == go(world(store), resume=True, arguments=("--lr", "1")).session.status


def test_the_fingerprint_follows_imports() -> None:
    """Packages and relative imports too; what is installed is none of the program's."""
    Path("package").mkdir()
    files = {
        "train.py": "import torch, package.part\n",
        "package/__init__.py": "",
        "package/part.py": "from .deep import f\n",
    }
    for name, text in {**files, "package/deep.py": "f = 1\n", "other.py": "", "broken.py": "("}.items():
        Path(name).write_text(text)

    def now() -> str:
        return Program(script=Path("train.py").absolute()).fingerprint

    before = now()
    Path("other.py").write_text("x = 1")
    assert before == now()
    for name in ("package/deep.py", "package/__init__.py", "train.py"):
        Path(name).write_text(Path(name).read_text() + "# changed\n")
        assert before != (before := now())
    Path("train.py").write_text("import broken\n")
    assert before != now()


def test_a_function_is_known_by_its_source() -> None:
    """One of a notebook, which has no file, too; what is no function by that of its class."""
    shell: dict[str, Any] = {"__name__": "cell"}
    exec("def one(): return 1\ndef two(): return 1 + 1", shell)
    one, two = (Program(function=shell[name]).fingerprint for name in ("one", "two"))
    assert one != two
    assert Program(function=program).fingerprint == Program(function=partial(program)).fingerprint


# ---------------------------------------------------------------------------------------------- processes that are gone


def test_a_killed_session_does_not_run_for_ever() -> None:
    """`advisor runs` and `advisor report` say that it was interrupted, and how to go on; a live one runs."""
    store = made("a.db")
    alive = begun("train.py", (), Start(program="train.py", fingerprint=""))
    number = store.save_session(alive.model_dump_json(), "running")
    assert ["running"] == [session.status for session in list_runs(store).sessions]
    killed(alive.model_copy(update={"id": number}), store)
    assert ["interrupted"] == [session.status for session in list_runs(store).sessions]
    report = load_report(store)
    assert isinstance(report, SessionReport)
    assert ("interrupted", ("its process is gone without a word: it was killed, or the machine went off",)) == (
        report.session.status, report.session.notes
    )  # fmt: skip
    assert "running" == json.loads(store.session_document(number))["status"]  # nobody has written to it


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_is_told_from_one_that_was_given_its_number() -> None:
    """By when it was started; one that only waits to be reaped is gone."""
    mine = mark(os.getpid())
    assert not gone(os.getpid(), HERE, mine)
    assert gone(os.getpid(), HERE, mine + "0")
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    its = mark(child.pid)
    assert not gone(child.pid, HERE, its)
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert gone(child.pid, HERE, its)
    child.communicate()
    assert gone(child.pid, HERE, its)
    assert gone(child.pid, HERE, "")
    assert not gone(os.getpid(), HERE, "")


def test_a_process_elsewhere_is_gone_when_it_was_not_heard_of_for_long() -> None:
    """A number means nothing on another machine; ten minutes without a word do."""
    now = time.time()
    heard = (None, now, now - 3600)
    assert [False, False, True] == [gone(1, f"not-{HERE}", "", heard=at) for at in heard]
    store = made("a.db")
    session = store.save_session("{}", "running")
    assert store.heard_of(session + 1) is None
    assert now <= (store.heard_of(session) or 0.0)


def _training(plan: Plan, seed: int, cost: float) -> Training:
    return Training(
        trial=1, plan=plan, seed=seed, run=None, status="finished", error=None, seconds=1.0, start_seconds=0.0,
        cost=cost, elapsed=1.0,
    )  # fmt: skip


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
