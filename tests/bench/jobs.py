"""How much sooner a session of `advisor fix` ends with two jobs than with one: the whole of it, in alternated pairs.

    python tests/bench/jobs.py [--pairs 3] [--budget 20] [--jobs 2]

The script trains an MLP on digits, too slowly. Both sessions of a pair do the same search over the same seeds; with
two jobs a confirmation may train one seed more before it gives up, so that the trainings are shown beside the time.
A machine that others use shows in the spread of the pairs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import advisor

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
        session(1, 1)  # imports, and a warm disk
        pairs = [(session(1, options.budget), session(options.jobs, options.budget)) for _ in range(options.pairs)]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for (one, spent), (many, spent_many) in pairs:
        alone, together = f"{one:6.1f} s, {spent:4.1f} trainings", f"{many:6.1f} s, {spent_many:4.1f} trainings"
        print(f"1 job {alone}   {options.jobs} jobs {together}   {many / one:.2f}")
    ones, manys = [one for (one, _), _ in pairs], [many for _, (many, _) in pairs]
    print(f"ratio of the medians {median(manys) / median(ones):.2f}, goal {GOAL}")


def session(jobs: int, budget: float) -> tuple[float, float]:
    """Seconds and trainings of one session, in a store of its own."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        plan = Path(folder) / "plan.toml"
        done = advisor.fix(
            "train.py", budget=budget, jobs=jobs, store=f"{folder}/a.db", plan_file=plan, report=False, force=True
        )
    return time.perf_counter() - began, done.session.spent


if __name__ == "__main__":
    main()
