"""What is imported when: torch only where something trains, nothing heavy to read a report or a page."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import advisor
from advisor.record import RunInfo, Sample
from advisor.store import Store

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "torchvision", "pandas", "scipy", "sklearn", "optuna")


def loaded_after(code: str, folder: Path) -> list[str]:
    """Which of `HEAVY` a fresh interpreter has loaded after `code`."""
    program = f"import sys\n{code}\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ADVISOR_STORE": str(folder / "advisor.db")},
        capture_output=True,
        text=True,
        check=True,
    )
    return list(ast.literal_eval(found.stdout.splitlines()[-1]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a store that holds one short run."""
    store = Store(str(tmp_path / "advisor.db"))
    run = store.add_run(RunInfo(name="train.py", status="finished", epochs=1, started=1.0, ended=2.0))
    info = store.run_infos()[0][0]
    sample = Sample("train_loss", "train", 1, 0, np.array([0.5], dtype=np.float32))
    store.write(info.model_copy(update={"id": run}), [sample], new_axes={"train_loss": ("",)})
    store.close()
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["runs"], ["runs", "--json"], ["report"], ["report", "1", "--json"], ["explain"]],
    ids=" ".join,
)
def test_commands_that_only_read_import_nothing_heavy(words: list[str], folder: Path) -> None:
    """A report opens without torch, and the help is there at once."""
    code = (
        f"from advisor.cli import main\ntry:\n    main({words!r})\nexcept SystemExit as end:\n    assert not end.code"
    )
    assert loaded_after(code, folder) == []


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    """`import advisor` is cheap; torch comes with the first use of `advisor.watch`."""
    assert loaded_after("import advisor", tmp_path) == []
    assert "torch" in loaded_after("import advisor; advisor.watch", tmp_path)


def test_every_public_name_is_there() -> None:
    """`advisor.__all__` names what can be used, and no module bears the name of a public function."""
    for name in advisor.__all__:
        assert getattr(advisor, name) is not None
        assert not (ROOT / "advisor" / f"{name}.py").exists()


def test_an_unknown_name_is_told_what_there_is() -> None:
    """A misspelt name gets the list."""
    with pytest.raises(AttributeError, match="no attribute 'wach'; it has watch, loss, fix"):
        advisor.wach  # noqa: B018
