"""The command line: each wrong input is one message with the next move and the documented exit code, no traceback."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from called import add_run, call

from advisor import cli
from advisor.errors import AdvisorError
from advisor.store import Store, default_url


@pytest.mark.parametrize(
    ("words", "code", "message", "hint"),
    [
        (["run", "nope.py"], 3, "nope.py: expected a Python script, but there is no such file", "working directory"),
        (["fix", "nope.py"], 3, "nope.py: expected a Python script, but there is no such file", "working directory"),
        (["run", "."], 3, "expected a Python script, but this is a folder", "working directory"),
        (["run"], 2, "Missing argument 'script'", "advisor --help"),
        (["run", "train.py", "--lr", "1"], 2, "No such option: --lr", "options of the script go after `--`"),
        (["fxi"], 2, "No such command 'fxi'", "advisor --help"),
        (["fix", "train.py", "--time", "soon"], 2, "'soon' is not a duration; write 90, 90s, 10m or 1h30m", "--help"),
        (["fix", "train.py", "--budget", "-1"], 2, "'-1' is not a number above 0", "--help"),
        (["fix", "train.py", "--budget", "nan"], 2, "'nan' is not a number above 0", "--help"),
        (["report"], 4, "no store here yet", "advisor run train.py"),
        (["runs"], 4, "no store here yet", "advisor run train.py"),
        (["report", "1", "--session", "1"], 2, "expected a run or a session, found both", "leave one"),
        (["explain", "overfiting_"], 2, "there is no rule, remedy or experiment 'overfiting_'", ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_word_is_one_message(
    words: list[str], code: int, message: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage: the message, the next move, the code; nothing else."""
    assert call(words) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    first, *rest = shown.err.splitlines()
    assert first.startswith("error: ")
    assert message in first
    assert len(rest) == 1
    assert rest[0].startswith("hint:  ")
    assert hint in rest[0]


def test_a_store_that_is_something_else(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A text file in the place of the database is named, with the way out, before a script is started."""
    (folder / ".advisor").mkdir()
    (folder / ".advisor" / "advisor.db").write_text("hello, this is a text file and not a database\n" * 99)
    (folder / "train.py").write_text("print('ran')\n")
    for words in (["runs"], ["report"], ["run", "train.py"]):
        assert call(words) == 4
        shown = capsys.readouterr()
        assert re.match(r"error: .*advisor\.db: expected an advisor store, found something else: ", shown.err)
        assert "hint:  move that file away, or set ADVISOR_STORE to another path" in shown.err
        assert "ran" not in shown.out


def test_a_store_from_a_newer_version(capsys: pytest.CaptureFixture[str]) -> None:
    """A store of a later schema is not touched."""
    add_run()
    with sqlite3.connect(".advisor/advisor.db") as connection:
        connection.execute("update meta set value = '99' where key = 'schema_version'")
    connection.close()
    assert call(["runs"]) == 4
    assert "the store has schema 99, this advisor reads up to 1\nhint:  upgrade advisor" in capsys.readouterr().err


def test_a_store_that_another_program_holds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """A locked store is said to be locked, after a short wait."""
    add_run()
    (folder / "train.py").write_text("print('ran')\n")
    monkeypatch.setattr("advisor.database.BUSY_TIMEOUT", 0.05)
    holder = sqlite3.connect(".advisor/advisor.db")
    holder.execute("pragma locking_mode = exclusive")
    holder.execute("begin exclusive")
    try:
        assert call(["run", "train.py"]) == 4
        assert re.search(r"the store cannot be used: .*locked\nhint:  another program", capsys.readouterr().err)
    finally:
        holder.close()


def test_a_store_that_cannot_be_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """Where a record could not be kept, the script is not started."""
    (folder / "train.py").write_text("print('ran')\n")
    Store().close()
    monkeypatch.setenv("ADVISOR_STORE", f"sqlite:///file:{default_url()}?mode=ro&uri=true")  # as for anybody but root
    assert call(["run", "train.py"]) == 4
    said = r"the store cannot be used: attempt to write a readonly database\nhint:  make it writable"
    assert re.search(said, capsys.readouterr().err)
    monkeypatch.setenv("ADVISOR_STORE", "/dev/null/advisor.db")
    assert call(["run", "train.py"]) == 4
    shown = capsys.readouterr()
    assert "error: /dev/null: cannot make the folder of the store: " in shown.err
    assert shown.out == ""


def test_an_unknown_run_or_session(capsys: pytest.CaptureFixture[str]) -> None:
    """An id that is not there gets told how to find those that are."""
    add_run()
    assert call(["report", "7"]) == 4
    assert "there is no run 7\nhint:  `advisor runs` lists them" in capsys.readouterr().err
    assert call(["report", "--session", "7"]) == 4
    assert "there is no session 7" in capsys.readouterr().err


def test_a_broken_rule_in_the_users_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rule file that breaks the contract stops a run before it begins, with the file's name."""
    (folder / "pyproject.toml").write_text('[tool.advisor]\nrule_folders = ["mine"]\n')
    (folder / "mine").mkdir()
    (folder / "mine" / "too_slow.py").write_text("def too_slow(run): ...\n")
    (folder / "train.py").write_text("print('ran')\n")
    for words in (["run", "train.py"], ["explain"]):
        assert call(words) == 5
        shown = capsys.readouterr()
        assert "too_slow.py: expected a function too_slow() marked with @rule(...), found none" in shown.err
        assert "ran" not in shown.out


def test_a_mistake_in_the_settings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown setting is named together with the file."""
    (folder / "pyproject.toml").write_text("[tool.advisor]\nrule = 1\n")
    assert call(["explain"]) == 2
    assert "pyproject.toml [tool.advisor]: unknown setting rule\nhint:" in capsys.readouterr().err


def test_debug_shows_where_an_error_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ADVISOR_DEBUG the exception comes through."""
    monkeypatch.setenv("ADVISOR_DEBUG", "1")
    with pytest.raises(AdvisorError, match="there is no such file"):
        cli.main(["run", "nope.py"])


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted command ends as shells expect."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("advisor.commands.output.show", interrupt)
    assert call(["explain"]) == 130


PROGRAM = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import advisor

torch.set_num_threads(1)
torch.manual_seed(0)
x = torch.randn(32, 4)
train_loader, val_loader = (DataLoader(TensorDataset(x, (x.sum(1) > 0).long()), batch_size=16) for _ in range(2))
model = nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in advisor.watch(range(4), model, optimizer, nn.CrossEntropyLoss(), train=train_loader, val=val_loader):
    for x, y in train_loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    {within}
"""


@pytest.mark.parametrize(
    ("program", "options", "code", "message"),
    [
        ("print('done')", [], 3, "this script never calls advisor.watch"),
        (PROGRAM.format(within="raise ValueError('mine')"), [], 3, "ValueError: mine"),
        (PROGRAM.format(within="pass"), ["--metric", "nope"], 2, "the metric 'nope' never appeared"),
        (PROGRAM.format(within="pass"), ["--seeds", "2"], 2, "expected 5 to 20 seeds, found 2"),
        (PROGRAM.format(within="pass"), ["--strategy", "magic"], 2, "there is no strategy 'magic'"),
        (PROGRAM.format(within="pass"), ["--plan", "no/plan.toml"], 6, "the folder of the plan's file does not exist"),
    ],
    ids=["never watches", "raises", "metric", "seeds", "strategy", "plan's folder"],
)
def test_what_cannot_be_fixed(
    program: str, options: list[str], code: int, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`advisor fix` on a script or with an option that it cannot use: the message, the next move, the code."""
    (folder / "train.py").write_text(program)
    assert call(["fix", "train.py", *options]) == code
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert message in shown
    assert "\nhint:  " in shown
    assert "advisor/fixing.py" not in shown
