"""The last lines of a session's report: every command in them can be typed as it stands."""

from __future__ import annotations

import shlex

import pytest
from built import session, verdict

from advisor import plan_file
from advisor.commands import patch
from advisor.report import SessionReport
from advisor.report.closing import PLAN, outcome
from advisor.report.text import render_text
from advisor.session import FixSession, Start


def line(found: FixSession, label: str, width: int = 100) -> str:
    """What stands behind a label at the end of the report; "" where it is not there."""
    lines = render_text(SessionReport(found), width).splitlines()
    return next((text[10:] for text in lines if text.startswith(f"{label:<10}")), "")


@pytest.mark.parametrize(
    ("command", "file", "shown"),
    [
        (("train.py",), "advisor-plan.toml", "advisor apply advisor-plan.toml train.py"),
        (("a b.py", "--lr", "1"), "p.toml", "advisor apply p.toml 'a b.py' -- --lr 1"),
        ((), "advisor-plan.toml", ""),
        (("train.py",), "best.plan", ""),
    ],
)
def test_a_plan_for_a_script_can_be_written_into_it(command: tuple[str, ...], file: str, shown: str) -> None:
    """Not a function, which is no file, nor a plan by a name that the command would take for a script."""
    found = session().model_copy(update={"command": command, "plan_file": file})
    said = line(found, "as code")
    assert shown == said.partition("   ")[0]
    assert said.endswith("   prints what can be written of it, proven") or not shown
    assert f'advisor.watch(..., plan="{file}")' == line(found, "use it")


def test_without_a_plan_there_is_no_code() -> None:
    """Nothing was accepted."""
    found = session().model_copy(update={"command": ("train.py",), "plan": type(session().plan)(), "plan_file": None})
    assert ("", "") == (line(found, "as code"), line(found, "use it"))


def test_the_command_takes_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """`advisor apply` reads the line as it is meant: plan, script, and the script's arguments."""
    from advisor import rewriting
    from advisor.cli import app
    from advisor.plan import Plan

    calls: list[tuple[str, list[str], str]] = []
    monkeypatch.setattr(patch, "find", lambda script: script)
    monkeypatch.setattr(Plan, "load", lambda path: Plan())
    monkeypatch.setattr(
        rewriting,
        "patch_shown",
        lambda script, plan, arguments, *, plan_file, **_: calls.append((str(script), arguments, str(plan_file))),
    )
    found = session().model_copy(update={"command": ("train.py", "--lr", "1"), "plan_file": "p.toml"})
    words = shlex.split(line(found, "as code", 200).partition("   ")[0])
    app(words[1:], standalone_mode=False)
    assert [("train.py", ["--lr", "1"], "p.toml")] == calls
    assert str(plan_file.DEFAULT).endswith(PLAN)


def test_going_on_names_the_plans_file() -> None:
    """Where it is not the usual one: the plan would go elsewhere."""
    start = Start(program="/home/user/train.py", fingerprint="")
    found = session().model_copy(update={"status": "interrupted", "command": ("train.py",), "start": start})
    assert "advisor fix train.py --resume" == line(found, "go on")
    found = found.model_copy(update={"start": start.model_copy(update={"plan_file": "p.toml"})})
    assert "advisor fix train.py --resume --plan p.toml" == line(found, "go on")


def test_a_judge_that_is_not_the_programs_own_is_named_where_its_numbers_stand() -> None:
    """0.024 → 0.000 would read as the score."""
    final = verdict(baseline=(0.024,), plan=(0.0,), gain=0.024)
    found = session().model_copy(update={"metric": "val_gap", "mode": "min", "final": final})
    assert "val_gap 0.024 → 0.000 on seeds that chose nothing (p 0.031)" == outcome(found).plain
