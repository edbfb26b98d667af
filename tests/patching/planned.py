"""A short script and a plan -> what the run under the plan has shown, made in this process and traced."""

from __future__ import annotations

import runpy
from pathlib import Path

from advisor.assignment import Assignment, assign
from advisor.patching import write_out
from advisor.patching.source import Source
from advisor.plan import Plan
from advisor.record import Record
from advisor.store import Store
from advisor.tracing import traced

SCRIPT = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import advisor

torch.manual_seed(0)
x = torch.randn(64, 4)
y = (x.sum(1) > 0).long()
train_loader = DataLoader(TensorDataset(x, y), batch_size=16)
val_loader = DataLoader(TensorDataset(x, y), batch_size=64)
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
loss_fn = nn.CrossEntropyLoss()
for _ in advisor.watch(range(2), model, optimizer, loss_fn, train=train_loader, val=val_loader, report=False):
    for x, y in train_loader:
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()
    with torch.no_grad():
        for x, y in val_loader:
            loss_fn(model(x), y)
"""
SGD = "optimizer = torch.optim.SGD(model.parameters(), lr=0.01)"  # lines of it that tests replace
NET = "model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))"


def script(folder: Path, *changes: tuple[str, str], encoding: str = "utf-8", newline: str = "\n") -> Path:
    """`SCRIPT` with some of its text replaced, in a file."""
    text = SCRIPT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "train.py"
    path.write_bytes(text.replace("\n", newline).encode(encoding))
    return path


def planned(path: Path, plan: Plan) -> Record:
    """The record of a traced run under a plan."""
    assign(Assignment(plan=plan, quiet=True))
    with traced(path):
        runpy.run_path(str(path), run_name="__main__")
    assign(None)
    store = Store()
    info, _ = store.run_infos()[-1]
    record = store.record(info.id)
    store.close()
    assert record.problems == ()
    return record


def written(path: Path, plan: Plan) -> tuple[list[str], list[str]]:
    """(lines of the script that changed, as a diff without context has them; reasons of the steps that stay)."""
    before = path.read_bytes()
    source, kept = write_out(Source(path, before), plan, planned(path, plan))
    assert path.read_bytes() == before
    return changes(before, source.text), list(kept.values())


def changes(before: bytes, after: bytes) -> list[str]:
    """`-old` and `+new` lines, without their line ends."""
    import difflib

    one, other = (text.decode().splitlines() for text in (before, after))
    return [
        line for line in difflib.unified_diff(one, other, n=0, lineterm="") if line[:3] not in ("---", "+++", "@@ ")
    ]
