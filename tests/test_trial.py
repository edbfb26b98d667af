"""What counts as a program, what is refused before it is tried, and what a trial's end is told as."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from advisor.errors import ScriptError
from advisor.plan import Plan
from advisor.trial import Job, Program, Ran


def script(text: str, name: str = "train.py") -> Path:
    """A file in the test's own working directory."""
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_script_is_found_and_named() -> None:
    """The path becomes absolute, since the trial may change its working directory."""
    path = script("import advisor\nfor epoch in advisor.watch(range(3), m, o): pass\n")
    program = Program.from_script(path, ("--lr", "0.1"))
    assert program == Program(Path.cwd() / "train.py", ("--lr", "0.1"))
    assert (program.name, program.folder) == ("train.py", Path.cwd())


def test_a_function_is_named_and_placed() -> None:
    """Its name, and the folder of its module; a callable object goes by its class."""

    class Training:
        def __call__(self) -> None: ...

    def train() -> None: ...

    assert (Program(function=train).name, Program(function=train).folder) == ("train", Path(__file__).parent)
    assert Program(function=partial(train)).name == "train"
    assert Program(function=partial(train)).folder == Path(__file__).parent
    assert Program(function=Training()).name == "Training"
    built_in: Callable[[], object] = dict
    assert Program(function=built_in).folder == Path.cwd()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("for epoch in range(3)\n    pass\n", r"train\.py:1: this is not valid Python: expected ':'"),
        ("x = '\x00'", "null bytes"),
        ("import torch\nfor epoch in range(3): pass\n", r"never calls advisor\.watch; wrap its epoch loop"),
        ("from torch import nn\nimport sklearn.datasets, os\n", r"never calls advisor\.watch"),
    ],
)
def test_a_script_that_cannot_be_tried_is_refused(text: str, message: str) -> None:
    """A syntax error names its line; a script in which nothing could call `advisor.watch` is not run for nothing."""
    with pytest.raises(ScriptError, match=message):
        Program.from_script(script(text))


@pytest.mark.parametrize(
    "text",
    [
        "from advisor import watch\nfor epoch in watch(range(3), m, o): pass\n",
        "import training\ntraining.main()\n",
        "from .training import main\n",
        "from my_company.training import main\n",
        "import importlib\nimportlib.import_module('training')\n",
        "exec(open('training.txt').read())\n",
    ],
)
def test_a_script_that_may_watch_is_not_refused(text: str) -> None:
    """The call may be in a module that it imports; the trial itself will tell."""
    assert Program.from_script(script(text)).script == Path.cwd() / "train.py"


def test_a_missing_script_is_refused() -> None:
    """The message names the Python files that are there."""
    script("", "other.py")
    with pytest.raises(ScriptError, match=r"there is no such file; the Python files here are other\.py"):
        Program.from_script(Path("missing.py"))
    with pytest.raises(ScriptError, match=r"expected a Python file \(\.py\)"):
        Program.from_script(script("", "train.sh"))


def test_slow_libraries_are_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a script imports at its top is loaded before the fork if it is a slow library, and only then."""
    imported: list[str] = []
    monkeypatch.setattr("advisor.program._import", imported.append)
    script("", "pandas.py")  # the script's own, whatever its name
    script("", "mine.py")
    text = "import sklearn.datasets, mine, pandas, wandb\nfrom scipy import stats\ndef late():\n    import matplotlib\n"
    Program.from_script(script(text + "watch = 1\n")).preload()
    assert imported == ["torch", "torchvision", "advisor.watching", "sklearn.datasets", "scipy.stats"]


def test_a_library_that_does_not_load_is_left_to_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken installation is the trial's to report; nothing is raised before."""
    Path("timm").mkdir()
    script("raise RuntimeError('broken')", "timm/__init__.py")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    Path("scripts").mkdir()
    monkeypatch.setattr("advisor.program.ALWAYS", ())
    Program.from_script(script("import timm, watch\n", "scripts/train.py")).preload()
    assert "timm" not in sys.modules


def test_the_tail_is_the_end_of_the_log() -> None:
    """Twenty lines at most, and nothing once the log is gone."""
    log = Path("log.txt").absolute()
    ran = Ran(Job(1, Plan(), 0), None, "no_watch", None, 1.0, 0.1, log)
    log.write_text("".join(f"{i}\n" for i in range(30)), encoding="utf-8")
    assert ran.tail.split("\n") == [str(i) for i in range(10, 30)]
    log.unlink()
    assert ran.tail == ""
