"""`advisor runs`: rows from a store, and the tables made of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from advisor.diagnosis import Diagnosis
from advisor.finding import Finding
from advisor.listing import list_runs, render
from advisor.plan import Plan
from advisor.record import RunInfo, Sample
from advisor.session import FixSession, Trial, Verdict
from advisor.store import Store

DAY = 86_400.0  # s


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "advisor.db"))


def add(store: Store, *scores: float, diagnosis: Diagnosis | None = None, **info: Any) -> int:
    """A run with a validation accuracy by epoch."""
    made = RunInfo(**{"name": "train.py", "status": "finished", "started": DAY, "ended": DAY + 31, "epochs": 4} | info)
    run = store.add_run(made)
    rows = [
        Sample(name, phase, epoch, epoch, np.array([score], dtype=np.float32))  # type: ignore[arg-type]  # phases
        for name, phase in (("val_accuracy", "val"), ("step_loss", "step"))
        for epoch, score in enumerate(scores)
    ]
    text = diagnosis.model_dump_json() if diagnosis is not None else None
    store.write(made.model_copy(update={"id": run}), rows, diagnosis=text)
    return run


def shown(store: Store, *, every: bool = False, width: int = 120) -> list[str]:
    """The tables, an hour after the runs began."""
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(render(list_runs(store, every=every), now=DAY + 3600))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_row_says_how_a_run_did_and_what_was_found(store: Store) -> None:
    """Status, epochs of those planned, best epoch, first finding, time."""
    finding = Finding(message="", numbers=(), confidence=0.9, rule="overfitting")
    add(store, 0.25, 0.75, 0.5, diagnosis=Diagnosis(status="problems", findings=(finding,)))
    add(store, diagnosis=Diagnosis(status="not_enough_evidence"), status="failed", error="KeyError: x")
    assert shown(store) == [
        "run  name      status               epochs  best                first finding        took  when",
        "  1  train.py  finished                3/4  0.750 val_accuracy  overfitting          31 s  1 h ago",
        "  2  train.py  failed: KeyError: x     0/4                      not enough evidence  31 s  1 h ago",
        "look at one: advisor report N",
    ]


def test_a_row_is_one_line_on_the_smallest_terminal(store: Store) -> None:
    """80 columns hold a run with names of usual length."""
    finding = Finding(message="", numbers=(), confidence=0.9, rule="too_few_epochs")
    add(store, 0.75, diagnosis=Diagnosis(status="problems", findings=(finding,)))
    assert shown(store, width=80)[1:] == [
        "  1 train.py finished    1/4 0.750 val_accuracy too_few_epochs 31 s 1 h ago",
        "look at one: advisor report N",
    ]


def test_a_run_whose_process_is_gone_died(store: Store) -> None:
    """Killed at once it could not say so; one that goes on, and one of another machine, count as running."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    here = socket.gethostname()
    for pid, host in ((process.pid, here), (os.getpid(), here), (process.pid, "elsewhere")):
        add(store, 0.5, status="running", ended=None, pid=pid, host=host)
    assert [run.status for run in list_runs(store).runs] == ["died", "running", "running"]


def test_sessions_count_what_was_tried(store: Store) -> None:
    """The baseline is no trial; a plan stands with its gain; the runs of a session are listed where all are."""
    plan = Plan.of("dropout", rate=0.5)
    verdict = Verdict(kind="helped", seeds=(1,), baseline=(0.5,), plan=(0.625,), gain=0.125)
    trials = tuple(
        Trial(number=number, plan=plan, stage=stage, seeds=(1,))  # type: ignore[arg-type]  # stages
        for number, stage in enumerate(("baseline", "screen", "confirm"))
    )
    session = FixSession(
        name="train.py", status="finished", metric="val_accuracy", trials=trials, plan=plan, final=verdict, seconds=31
    )
    number = store.save_session(session.model_dump_json(), "finished")
    add(store, 0.5, session=number, trial=1)
    assert shown(store) == [
        "session  name      status    trials  plan          gain                 took",
        "      1  train.py  finished       2  dropout(0.5)  +0.125 val_accuracy  31 s",
        "look at one: advisor report --session N",
    ]
    every = shown(store, every=True)
    assert every[:2] == [
        "run  session  name      status    epochs  best                first finding  took  when",
        "  1        1  train.py  finished     1/4  0.500 val_accuracy                 31 s  1 h ago",
    ]
    assert every[-1] == "look at one: advisor report N or --session N"
