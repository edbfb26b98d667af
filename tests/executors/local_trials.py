"""A program -> its trials as real processes on this machine, what they printed and what they left in the store."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from advisor import assignment
from advisor.executors.local import LocalExecutor
from advisor.plan import Plan
from advisor.record import RunInfo
from advisor.store import Store
from advisor.trial import Job, Program, Ran

SESSION = 7
STORE = "store/advisor.db"


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
