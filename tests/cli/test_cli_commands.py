"""The command line: what the commands print where nothing is wrong, and how their words are read."""

from __future__ import annotations

import json
import re

import pytest
from called import add_run, call

from advisor import cli
from advisor.plan import Plan
from advisor.session import FixSession, Verdict
from advisor.store import Store
from advisor.words import seconds


def test_without_a_command_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`advisor` alone shows the commands in their groups and the exit codes."""
    assert call([]) == 0
    shown = capsys.readouterr().out
    assert [name for name in ("Train", "Look", "Learn") if f"─ {name} ─" in shown] == ["Train", "Look", "Learn"]
    for line in ("3  the script is not there, raised, or never called advisor.watch", "130  interrupted"):
        assert line in shown


@pytest.mark.parametrize(
    "command", ["run", "fix", "apply", "undo", "report", "runs", "explain", "new-rule", "check-rules", "demo"]
)
def test_every_option_is_documented(command: str) -> None:
    """Each parameter of each command says what it is for."""
    import typer

    found = typer.main.get_command(cli.app).commands[command]  # type: ignore[attr-defined]
    assert found.help
    for parameter in found.params:
        assert parameter.help, f"{command} {parameter.name}"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the package's."""
    from advisor import __version__

    assert call(["--version"]) == 0
    assert capsys.readouterr().out == f"advisor {__version__}\n"


def test_explain_prints_a_page_or_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Every name of the list has a page, with its title and its headings."""
    assert call(["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    names = [line.split()[0] for line in lines if re.match(r"  [a-z]", line)]
    assert "overfitting" in names
    assert call(["explain", "overfitting"]) == 0
    shown = capsys.readouterr().out
    for part in ("overfitting (rule)", "What it does", "When it is wrong", "Thresholds", "Remedies"):
        assert part in shown


def test_runs_as_a_table_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A run's row has its status, epochs, best value and time; JSON has the same."""
    add_run()
    add_run(name="trial", session=1, trial=2)
    assert call(["runs"]) == 0
    header, row, _ = capsys.readouterr().out.splitlines()
    assert header.split() == ["run", "name", "status", "epochs", "best", "first", "finding", "took", "when"]
    assert re.fullmatch(r" *1  train\.py  finished +3/3  0\.700 val_loss +2\.5 s  \d+ d ago *", row)
    assert call(["runs", "--all", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [(run["id"], run["session"], run["metric"]) for run in document["runs"]] == [
        (1, None, "val_loss"),
        (2, 1, "val_loss"),
    ]
    assert document["runs"][0]["best"] == pytest.approx(0.7)


def test_fix_sessions_are_listed_below_the_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """A session's row has its plan and what it brought; a store with nothing in it says how to fill it."""
    store = Store()
    assert call(["runs"]) == 0
    assert capsys.readouterr().out.strip() == "no runs yet: make one with `advisor run train.py`"
    final = Verdict(kind="helped", seeds=(1, 2), baseline=(0.5, 0.5), plan=(0.6, 0.6), gain=0.1)
    known = {"name": "train.py", "status": "finished", "metric": "val_accuracy", "seconds": 250.0}
    session = FixSession(plan=Plan.of("dropout", rate=0.5), final=final, **known)  # type: ignore[arg-type]
    store.save_session(session.model_dump_json(), session.status)
    store.close()
    assert call(["runs"]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert re.fullmatch(r" *1  train\.py  finished +0  dropout\(0\.5\)  \+0\.100 val_accuracy  4 min 10 s *", row)
    assert call(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sessions"][0]["gain"] == 0.1


def test_a_long_list_shows_the_newest(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --all twenty runs are shown, and how many there are besides."""
    for _ in range(22):
        add_run()
    assert call(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [lines[1].split()[0], lines[20].split()[0], lines[21].strip()] == ["3", "22", "2 older: advisor runs --all"]


def test_report_without_a_terminal_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Piped, `advisor report` prints the text report; --json prints one document."""
    run = add_run()
    assert call(["report"]) == 0
    assert re.match(r"train\.py +run 1 +finished +3 epochs", capsys.readouterr().out)
    assert call(["report", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["info"]["name"] == "train.py"


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("90s", 90), ("10m", 600), ("10 min", 600), ("1h", 3600), ("1h30m", 5400)]
)
def test_durations(text: str, expected: float) -> None:
    """A duration is a number with s, m, min or h; without a unit it is in seconds."""
    assert seconds(text) == expected
