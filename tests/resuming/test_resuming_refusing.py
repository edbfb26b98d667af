"""Which session cannot go on, and which one is known to be interrupted: by its program, its options, its process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from interruptions import Killed, killed, made, stored, world
from worlds import World, program, run

from advisor.errors import AdvisorError
from advisor.fixing import Fix, fix
from advisor.listing import list_runs
from advisor.processes import gone, mark
from advisor.report import SessionReport, load_report
from advisor.resuming import begun
from advisor.session import Start
from advisor.store import Store
from advisor.trial import Program

HERE = socket.gethostname()


# ----------------------------------------------------------------------------------------------------- being refused


def interrupted(store: Store, **options: Any) -> None:
    first = world(store)
    first.off_at = 3
    with pytest.raises(Killed, match="power"):
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

    with pytest.raises(Killed, match="power"):
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
