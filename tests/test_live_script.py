"""`advisor run` from outside: the script's output and exit code are its own, its record is shown while it grows."""

from __future__ import annotations

import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
from io import BytesIO, StringIO
from pathlib import Path
from textwrap import dedent

import pytest
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from advisor.config import Config
from advisor.errors import ScriptError, StoreError
from advisor.live import _scroll, run_script
from advisor.store import Store

ROOT = Path(__file__).parents[1]
PROGRAM = """
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset
    import advisor

    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.randn(64, 4)
    loader, val_loader = (DataLoader(TensorDataset(x, (x.sum(1) > 0).long()), batch_size=8) for _ in range(2))
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss_fn = nn.CrossEntropyLoss()
    for epoch in advisor.watch(range(4), model, optimizer, loss_fn, train=loader, val=val_loader):
        for x, y in loader:
            optimizer.zero_grad()
            loss_fn(model(x), y).backward()
            optimizer.step()
        print("mine", epoch, flush=True)
        {within}
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """That of a child process: this checkout, a store of its own, a terminal of a known kind."""
    known = {"PYTHONPATH": str(ROOT), "ADVISOR_STORE": str(tmp_path / "advisor.db"), "COLUMNS": "100", "LINES": "40"}
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    return {**os.environ, "TERM": "xterm-256color"}


def command(folder: Path, program: str) -> list[str]:
    """`advisor run` on a program."""
    (folder / "train.py").write_text(dedent(program))
    return [sys.executable, "-m", "advisor", "run", "train.py"]


def test_without_a_terminal_one_line_an_epoch(tmp_path: Path, environment: dict[str, str]) -> None:
    """The script's output comes through untouched on stdout; the progress is on stderr; the run is in the store."""
    words = command(tmp_path, PROGRAM.format(within="pass"))
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[:4] == ["mine 0", "mine 1", "mine 2", "mine 3"]
    lines = done.stderr.splitlines()
    assert [line.split("  ")[0] for line in lines] == [f"{k} of 4 epochs" for k in (1, 2, 3, 4)]
    assert re.search(r"train_loss \d\.\d{3}  val_loss \d\.\d{3}  train_accuracy \S+  val_accuracy \S+", lines[0])
    ((info, diagnosis),) = Store(environment["ADVISOR_STORE"]).run_infos()
    assert info.status == "finished"
    assert info.script == str(tmp_path / "train.py")
    assert diagnosis is not None


def test_on_a_terminal_a_panel_below_the_output(tmp_path: Path, environment: dict[str, str]) -> None:
    """The screen shows the run below the script's lines, the keyboard is the script's, and at the end it goes."""
    words = command(tmp_path, PROGRAM.format(within="epoch == 1 and input('wait')"))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(words, cwd=tmp_path, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown, told = "", False
    try:
        while block := os.read(ours, 65536):
            shown += block.decode(errors="replace")
            if not told and "run 1 · running" in shown and "mine 1" in shown:
                os.write(ours, b"\n")
                told = True
    except OSError:  # Linux: the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    for part in (
        "waiting for advisor.watch",
        "train.py · run 1 · running",
        "of 4",
        "mine 3",
        "look      advisor report",
    ):
        assert part in plain
    assert shown.endswith("\x1b[2K")  # nothing is left of the panel below the summary


def test_ctrl_c_goes_to_the_script(tmp_path: Path, environment: dict[str, str]) -> None:
    """An interrupted run has a complete record; the exit code is 130, without a traceback."""
    words = command(tmp_path, PROGRAM.format(within="import signal; epoch < 1 or signal.pause()"))
    process = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(2):
        assert process.stdout.readline().startswith(b"mine")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in errors
    ((info, _),) = Store(environment["ADVISOR_STORE"]).run_infos()
    assert info.status == "interrupted"
    assert info.ended is not None


@pytest.mark.parametrize(
    ("program", "code", "message"),
    [
        ("raise SystemExit(7)", 7, ""),
        ("1 / 0", 1, 'Traceback (most recent call last):\n  File "{path}", line 1, in <module>\n'),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137, ""),
        ("if", 1, '  File "{path}", line 1\n    if\n'),
    ],
    ids=["own code", "raises", "killed", "not Python"],
)
def test_exit_codes(
    program: str,
    code: int,
    message: str,
    environment: dict[str, str],
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """The exit code is the script's own, and so is its traceback."""
    assert run_here(tmp_path, program, environment) == code
    shown = capfd.readouterr().err
    assert shown.startswith(message.format(path=tmp_path / "train.py"))
    assert "advisor/" not in shown


def test_a_script_that_never_watches(environment: dict[str, str], tmp_path: Path) -> None:
    """A script that ends well without a run is told what to wrap."""
    with pytest.raises(ScriptError, match=r"train\.py: the script ended without a run; wrap its epoch loop"):
        run_here(tmp_path, "print('done')", environment)


def test_a_run_in_a_process_that_the_script_starts(environment: dict[str, str], tmp_path: Path) -> None:
    """It is followed as the script's own: so is rank 0 of a distributed run."""
    (tmp_path / "worker.py").write_text(
        "import torch\n"
        "from advisor.describing import describe\n"
        "from advisor.store import Store\n"
        "Store().add_run(describe(range(1), torch.nn.Linear(1, 1), None, None, None))\n"
    )
    assert run_here(tmp_path, "import subprocess, sys; subprocess.run([sys.executable, 'worker.py'])", environment) == 0


def test_a_store_that_is_locked_is_said_before_the_training(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after it; the script is not started."""
    monkeypatch.setattr("advisor.database.BUSY_TIMEOUT", 0.01)
    store = Store(environment["ADVISOR_STORE"])
    with sqlite3.connect(environment["ADVISOR_STORE"], isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="database is locked; another program holds it"):
            run_here(tmp_path, "open('started', 'w')", environment)
    other.close()
    store.close()
    assert not (tmp_path / "started").exists()


def test_a_run_that_could_not_be_stored_is_not_taken_for_none(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the store fails on the way, nobody is told to wrap a loop that is wrapped."""
    answers = iter([None, StoreError("the store cannot be used: database is locked")])

    def check(_: Store) -> None:
        if (answer := next(answers)) is not None:
            raise answer

    monkeypatch.setattr(Store, "check_writable", check)
    with pytest.raises(StoreError, match="database is locked"):
        run_here(tmp_path, "print('done')", environment)


def test_a_line_of_the_script_leaves_the_panel_whole() -> None:
    """A long line runs on, and what the panel below it has wrapped stays wrapped."""
    console = Console(file=StringIO(), force_terminal=True, width=20, height=10, color_system=None)
    with Live(Panel(Text("one two three four five")), console=console, auto_refresh=False) as screen:
        screen.refresh()
        console.file = shown = StringIO()
        _scroll(BytesIO(b"mine is a line that is longer than the screen\n"), console)
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip() for line in shown.getvalue().splitlines()]
    assert "mine is a line that is longer than the screen" in lines
    assert ["│ one two three    │", "│ four five        │"] == [line for line in lines if line.startswith("│")][:2]


def run_here(folder: Path, program: str, environment: dict[str, str]) -> int:
    """`run_script` in this process, on a program that needs no torch."""
    script = folder / "train.py"
    script.write_text(program + "\n")
    store = Store(environment["ADVISOR_STORE"])
    return run_script(script, [], store=store, config=Config(), console=Console(force_terminal=False))
