"""`fix` with nothing replaced: a real fault, real child processes, and a plan that works outside of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from advisor import fix, watch
from advisor.events import Event, RunDone
from advisor.plan import Plan
from advisor.store import Store

EPOCHS = 6


def train(plan: Plan | str | None = None) -> float:
    """Two classes that a line divides, and a learning rate a thousand times too low; the last validation accuracy."""
    torch.set_num_threads(1)  # so small a model only waits for more
    torch.manual_seed(0)
    x = torch.randn(240, 8)
    y = (x[:, 0] + x[:, 1] > 0).long()
    train_loader = DataLoader(TensorDataset(x[:160], y[:160]), batch_size=16, shuffle=True)
    val_loader = DataLoader(TensorDataset(x[160:], y[160:]), batch_size=80)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    loss_fn = nn.CrossEntropyLoss()
    loop = watch(
        range(EPOCHS), model, optimizer, loss_fn, train=train_loader, val=val_loader, plan=plan, report=False
    )  # fmt: skip
    for _ in loop:
        for inputs, targets in train_loader:
            optimizer.zero_grad()
            loss_fn(model(inputs), targets).backward()
            optimizer.step()
    return float(loop.record.series["val_accuracy"].values[-1, 0])


def program() -> None:
    train()


def test_a_learning_rate_that_is_too_low_is_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The accepted plan was proven on five seeds, and does the same from its file; every run is in the store."""
    monkeypatch.chdir(tmp_path)
    events: list[Event] = []
    done = fix(program, budget=12, store=tmp_path / "advisor.db", on_event=events.append)
    assert done.session.diagnosis is not None
    assert done.session.diagnosis.top is not None
    assert done.session.diagnosis.top.rule == "learning_rate_too_low"
    assert done.final is not None
    assert "helped ◀ kept" in capsys.readouterr().out
    assert (done.final.kind, done.final.p) == ("helped", 1 / 32)
    assert train("advisor-plan.toml") > train() + done.final.gain / 2
    ran = [event for event in events if isinstance(event, RunDone)]
    assert len(ran) == len(Store(str(tmp_path / "advisor.db")).runs_of(done.session.id))
    assert done.session.spent == pytest.approx(ran[-1].spent)
    assert done.session.spent <= 12
