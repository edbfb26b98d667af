"""How much sooner a session of `advisor fix` ends with two jobs than with one: the whole of it, in alternated pairs.

    python tests/bench/jobs.py [--pairs 3] [--budget 20] [--jobs 2]

The script trains an MLP on digits, too slowly. Two sessions of a pair do the same trainings in the same order, chosen
for two jobs: one trains them one after the other, the other two at a time. The third is what a user with one job gets,
who decides after each training: it may try other plans, and costlier ones, so that its trainings are shown beside its
time. A machine that others use shows in the spread of the pairs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import advisor
from advisor.executors.local import LocalExecutor
from advisor.program import Program

GOAL = 0.65  # of the time of one job
SCRIPT = """
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import advisor

torch.manual_seed(0)
digits = load_digits()
x = torch.tensor(digits.data, dtype=torch.float32) / 16
y = torch.tensor(digits.target)
train_loader = DataLoader(TensorDataset(x[:900], y[:900]), batch_size=16, shuffle=True)
val_loader = DataLoader(TensorDataset(x[900:], y[900:]), batch_size=300)
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
loss_fn = nn.CrossEntropyLoss()
for epoch in advisor.watch(range(30), model, optimizer, loss_fn, train=train_loader, val=val_loader):
    for inputs, targets in train_loader:
        optimizer.zero_grad()
        loss_fn(model(inputs), targets).backward()
        optimizer.step()
    with torch.no_grad():
        for inputs, targets in val_loader:
            loss_fn(model(inputs), targets)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--budget", type=float, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("train.py").write_text(SCRIPT)
        session(1, 1, 1)  # imports, and a warm disk
        ways = ((1, options.jobs), (options.jobs, options.jobs), (1, 1))
        rounds = [[session(*way, options.budget) for way in ways] for _ in range(options.pairs)]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for one, many, alone in rounds:
        assert one.trained == many.trained  # otherwise they were not the same session
        print(f"the same {len(one.trained)} trainings: one at a time {one.seconds:6.1f} s, {options.jobs} at a time "
              f"{many.seconds:6.1f} s, {many.seconds / one.seconds:.2f}; with one job as users have it "
              f"{alone.seconds:6.1f} s, {len(alone.trained)} trainings")  # fmt: skip
    medians = [median(session.seconds for session in column) for column in zip(*rounds, strict=True)]
    one_by_one, together, usual = medians
    print(
        f"ratio of the medians {together / one_by_one:.2f}, goal {GOAL}; to one job as users have it "
        f"{together / usual:.2f}"
    )


@dataclass(frozen=True, slots=True)
class Session:
    seconds: float
    trained: tuple[tuple[str, int], ...]  # (plan, seed), sorted


def session(at_a_time: int, jobs: int, budget: float) -> Session:
    """One session that chooses for `jobs`, in a store of its own."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        plan, store = Path(folder) / "plan.toml", f"{folder}/a.db"
        with LocalExecutor(Program.from_script(Path("train.py")), store, jobs=at_a_time) as executor:
            done = advisor.fix(
                "train.py", budget=budget, jobs=jobs, executor=executor, store=store, plan_file=plan, report=False,
                force=True,
            )  # fmt: skip
    trained = tuple(sorted((str(training.plan), training.seed) for training in done.session.trainings))
    return Session(time.perf_counter() - began, trained)


if __name__ == "__main__":
    main()
