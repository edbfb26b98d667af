"""The demo is an ordinary script handed to the ordinary `fix`: what it shows is what anyone would get."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console

from advisor.demo import TIME, run_demo, write_script
from advisor.plan import Plan
from advisor.session import FixSession
from advisor.store import Store

PROMISE = 60  # s, as README says


def test_the_script_knows_nothing_of_the_demo(tmp_path: Path) -> None:
    """It is the file of the package, word for word, and names no rule, remedy or plan."""
    script = write_script(tmp_path / "demo")
    code = script.read_text().split('"""', 2)[2]
    assert "plan" not in code
    assert [line for line in code.splitlines() if "advisor" in line] == [
        "import advisor",
        "for _ in advisor.watch(range(15), model, optimizer, loss_fn, train=train_loader, val=val_loader):",
    ]


def test_the_demo_diagnoses_fixes_and_says_what_to_type_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the time that it is given: a finding, a plan that matched seeds prove, its file, and what to type next."""
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ADVISOR_STORE", raising=False)
    monkeypatch.setattr("advisor.demo.BUDGET", 16.0)  # six baselines, screenings, one confirmation: enough for a plan
    console = Console(file=StringIO(), width=120, force_terminal=False)
    run_demo(console)
    ((_, status, document),) = Store().session_documents()
    session = FixSession.model_validate_json(document)
    assert status == "finished"
    assert TIME < PROMISE
    assert session.diagnosis is not None
    assert session.diagnosis.top is not None
    assert session.final is not None
    assert session.final.kind == "helped"
    assert session.final.gain > 0.2  # from every second digit wrong to nearly all right
    assert Plan.load(tmp_path / ".advisor" / "demo" / "advisor-plan.toml") == session.plan
    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    for part in (
        "baseline ",
        "diagnosis ",
        "trial 1 ",
        "kept ",
        ".advisor/demo/train.py",
        "on seeds that chose nothing",
    ):
        assert part in shown
    next_commands = re.findall(r"^  (advisor .+?)   ", shown.partition("\nNext:\n")[2], flags=re.MULTILINE)
    assert next_commands == ["advisor report", f"advisor explain {session.diagnosis.top.rule}", "advisor fix train.py"]
