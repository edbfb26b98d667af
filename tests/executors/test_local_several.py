"""Several trials as real processes: at the same time, and none of them sees what another or the user left."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from local_trials import SESSION, STORE, leave_run, run, script
from torch import nn

from advisor import assignment
from advisor.executors.local import LocalExecutor
from advisor.plan import Plan
from advisor.record import RunInfo
from advisor.store import Store
from advisor.trial import Job, Program

pytestmark = pytest.mark.usefixtures("_one_thread")


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
