"""A script run by `advisor run`: it behaves as under python, and a wrong call of advisor is one message."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import torch

from advisor import script
from advisor.store import Store

PROGRAM = """
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset
    import advisor

    torch.manual_seed(0)
    x = torch.randn(32, 4)
    train_loader = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=8)
    val_loader = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=8)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loss_fn = nn.MSELoss()
    {before}
    for epoch in advisor.watch(range(3), {model}, optimizer, loss_fn, train={train}{more}):
        for x, y in train_loader:
            optimizer.zero_grad()
            loss_fn(model(x), y).backward()
            optimizer.step()
        {within}
    {after}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with its own store; what `main` changes in the interpreter is put back."""
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADVISOR_STORE", str(tmp_path / "advisor.db"))
    monkeypatch.delenv("ADVISOR_DEBUG", raising=False)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    return tmp_path


def train(folder: Path, **parts: str) -> int:
    """The exit code of the program with these parts."""
    known = {"before": "", "within": "pass", "after": "", "model": "model", "train": "train_loader", "more": ""}
    path = folder / "train.py"
    path.write_text(dedent(PROGRAM).format(**{**known, **parts}))
    return script.main([str(path)])


def test_a_script_sees_what_it_would_see_under_python(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its name is __main__, its arguments and its neighbours are there, and so are its classes for pickle."""
    (folder / "neighbour.py").write_text("value = 3\n")
    (folder / "train.py").write_text(
        "import pickle, sys, neighbour\n"
        "class Thing: pass\n"
        "print(__name__, __file__, sys.argv[1:], neighbour.value, type(pickle.loads(pickle.dumps(Thing()))).__name__)\n"
    )
    assert script.main([str(folder / "train.py"), "--lr", "0.1"]) == 0
    assert capsys.readouterr().out == f"__main__ {folder / 'train.py'} ['--lr', '0.1'] 3 Thing\n"
    del sys.modules["neighbour"]


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ({"before": "raise ValueError('mine')"}, None),
        ({"within": "raise ValueError('mine')"}, "failed"),
        ({"after": "raise ValueError('mine')"}, "finished"),
    ],
    ids=["before", "within", "after"],
)
def test_what_the_script_raises_is_its_own_traceback(
    parts: dict[str, str], status: str | None, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, the script's frames and none of ours, and the record says how the run ended."""
    assert train(folder, **parts) == 1
    shown = capsys.readouterr().err
    assert shown.splitlines()[-1] == "ValueError: mine"
    assert "script.py" not in shown
    infos = Store().run_infos() if status is not None else []
    assert [info.status for info, _ in infos] == ([status] if status is not None else [])


@pytest.mark.parametrize(
    ("parts", "code", "message"),
    [
        (
            {"model": "nn.Flatten()"},
            2,
            "error: advisor.watch: the model has no parameters, so there is nothing to train\nhint:  layers in a plain",
        ),
        ({"train": "[]"}, 2, "error: advisor.watch(train=…): the training loader is empty\nhint:  a data set smaller"),
        ({"more": ", mode='up'"}, 2, "error: advisor.watch(mode=…): expected 'min' or 'max', found 'up'\n"),
        (
            {"more": ", plan='nope.toml'"},
            6,
            "error: nope.toml: cannot read the plan: No such file or directory\nhint: ",
        ),
        ({"more": ", plan='unknown.toml'"}, 6, "error: unknown.toml: there is no remedy 'prayer'\nhint:  expected "),
        (
            {"more": ", plan='near.toml'"},
            6,
            "error: near.toml: there is no remedy 'drpout'\nhint:  did you mean dropout?\n",
        ),
        ({"more": ", plan='typed.toml'"}, 6, "error: typed.toml, remedy dropout: rate: "),
        ({"more": ", plan='broken.toml'"}, 6, "error: broken.toml: this is not TOML: "),
    ],
    ids=["no parameters", "empty loader", "mode", "no plan", "unknown remedy", "misspelt", "wrong type", "not TOML"],
)
def test_a_wrong_call_of_watch_is_one_message(
    parts: dict[str, str], code: int, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback, the next move, and the documented exit code."""
    (folder / "unknown.toml").write_text('version = 1\n[[remedy]]\nname = "prayer"\n')
    (folder / "near.toml").write_text('version = 1\n[[remedy]]\nname = "drpout"\n')
    (folder / "typed.toml").write_text('version = 1\n[[remedy]]\nname = "dropout"\nrate = "much"\n')
    (folder / "broken.toml").write_text("version = = 1\n")
    assert train(folder, **parts) == code
    shown = capsys.readouterr().err
    assert shown.startswith(message)
    assert "Traceback" not in shown


def test_debug_lets_the_traceback_through(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ADVISOR_DEBUG the place of a wrong call can be seen."""
    monkeypatch.setenv("ADVISOR_DEBUG", "1")
    with pytest.raises(Exception, match="the training loader is empty"):
        train(folder, train="[]")


def test_without_validation_the_report_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that nobody validates ends well, and is called neither healthy nor faulty."""
    assert train(folder) == 0
    assert "no validation was seen" in " ".join(capsys.readouterr().out.split())


def test_ctrl_c_in_the_loop_is_130(folder: Path) -> None:
    """An interrupted script has a complete record, and the exit code that shells expect."""
    assert train(folder, within="raise KeyboardInterrupt") == 130
    ((info, _),) = Store().run_infos()
    assert info.ended is not None


def test_a_script_that_ends_itself_keeps_its_code(folder: Path) -> None:
    """SystemExit passes through."""
    (folder / "train.py").write_text("raise SystemExit(7)\n")
    with pytest.raises(SystemExit, match="7"):
        script.main([str(folder / "train.py")])


@pytest.mark.parametrize(
    ("there", "wanted", "hint"),
    [
        (["train.py"], "other.py", "the Python files here are train.py"),
        (["train.py", "data.py"], "trian.py", "did you mean train.py?"),
        (list("abcdefgh"), "other.py", "the Python files here are a.py, b.py, c.py, d.py, e.py, f.py and 2 more"),
        ([], "other.py", "the working directory is "),
    ],
    ids=["another", "misspelt", "many", "none"],
)
def test_the_hint_for_a_missing_script(there: list[str], wanted: str, hint: str, folder: Path) -> None:
    """The file that is meant, or a few of those that are there."""
    for name in there:
        (folder / name).with_suffix(".py").write_text("")
    with pytest.raises(script.ScriptError, match=rf"{wanted}: .*no such file; {re.escape(hint)}"):
        script.find(Path(wanted))
