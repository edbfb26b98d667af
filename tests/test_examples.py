"""The examples run as they are, with small settings, and leave the record that their text promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from advisor.store import Store

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SETTINGS = {
    "mlp.py": ["--epochs", "3"],
    "cnn.py": ["--epochs", "2"],
    "regression.py": ["--epochs", "10"],
    "notebook_fix.py": [],
    "case_study.py": None,  # minutes: README says how to run it
}


def run(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """An example in an empty working directory with its own store; a warning is an error."""
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ADVISOR_STORE": str(folder / "advisor.db"), "FASHION_MNIST": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_example_is_run() -> None:
    """A new example comes with its settings here."""
    assert {path.name for path in EXAMPLES.glob("*.py")} <= set(SETTINGS)


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("mlp.py", {"train_loss", "val_loss", "val_accuracy", "clean_train_accuracy"}),
        ("cnn.py", {"train_loss", "val_loss", "val_accuracy", "lr"}),
        ("regression.py", {"train_loss", "val_loss", "val_r2", "mae"}),
    ],
)
def test_an_example_trains_and_is_seen_whole(name: str, series: set[str], tmp_path: Path) -> None:
    """It ends well, prints its summary, and the record has the losses, the score and what it logs itself."""
    done = run(tmp_path, name, *(SETTINGS[name] or []))
    assert (done.returncode, done.stderr) == (0, "")
    assert name in done.stdout
    ((info, diagnosis),) = Store(str(tmp_path / "advisor.db")).run_infos()
    assert info.status == "finished"
    assert diagnosis is not None
    record = Store(str(tmp_path / "advisor.db")).record(1)
    assert series <= set(record.series)
    assert record.problems == ()


def test_the_notebook_finds_a_plan(tmp_path: Path) -> None:
    """SGD at PyTorch's default learning rate is too slow for ten epochs, and `advisor.fix` proves a way out."""
    done = run(tmp_path, "notebook_fix.py")
    assert (done.returncode, done.stderr) == (0, "")
    ((_, status, _),) = Store(str(tmp_path / "advisor.db")).session_documents()
    assert status == "finished"
    assert done.stdout.splitlines()[-1] != "plain"


def test_without_the_data_the_example_says_how_to_get_them(tmp_path: Path) -> None:
    """A missing data set is one line, not a traceback."""
    done = run(tmp_path, "cnn.py", "--data", "nowhere")
    assert done.returncode == 1
    assert done.stderr.startswith("no Fashion-MNIST below nowhere; how to get it: head ")
    assert "Traceback" not in done.stderr
