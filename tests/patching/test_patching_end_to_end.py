"""`advisor apply` and `advisor undo` on a script: a patch that is proven, written, and taken back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from planned import SCRIPT, changes, script

from advisor import cli
from advisor.patching import make_patch
from advisor.plan import Plan
from advisor.session import FixSession

PLAN = Plan.of("learning_rate", factor=10.0) + Plan.of("batch_norm")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script and a plan in the working directory."""
    torch.set_num_threads(1)
    monkeypatch.delenv("ADVISOR_STORE")
    script(tmp_path)
    PLAN.save(tmp_path / "advisor-plan.toml")
    return tmp_path


def call(*words: str) -> int:
    """The exit code of `advisor`."""
    with pytest.raises(SystemExit, match=r".*") as end:
        cli.main(words)
    return int(end.value.code or 0)


def test_a_patch_is_proven_written_and_taken_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The diff alone is on stdout; the script changes only where that was asked for."""
    path = folder / "train.py"
    assert call("apply", "train.py") == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[:2] == ["--- a/train.py", "+++ b/train.py"]
    assert "bit for bit" in shown.err
    assert path.read_text() == SCRIPT
    assert [entry.name for entry in sorted(folder.iterdir())] == ["advisor-plan.toml", "train.py"]

    assert call("apply", "--write", "advisor-plan.toml", "train.py") == 0
    assert capsys.readouterr().out == shown.out
    expected = SCRIPT.replace("lr=0.01", "lr=0.1").replace("Linear(4, 8)", "Linear(4, 8), nn.BatchNorm1d(8)")
    assert path.read_text() == expected

    assert call("apply", "train.py") == 2
    assert "the script holds this plan already\nhint:  `advisor undo` takes it out again" in capsys.readouterr().err

    path.write_text(expected + "# mine\n")
    assert call("undo", "train.py") == 2
    said = capsys.readouterr().err
    assert "train.py: expected the file that advisor wrote, found another text\nhint:  it would be lost" in said
    assert path.read_text() == expected + "# mine\n"

    path.write_text(expected)
    assert call("undo", "train.py") == 0
    assert path.read_text() == SCRIPT
    assert call("undo", "train.py") == 2
    assert "nothing was written here that could be undone" in capsys.readouterr().err


def test_what_is_not_written_stays_in_a_plan_of_its_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The patched script with the rest is the run with the plan; undo takes both files back."""
    (PLAN + Plan.of("early_stopping", patience=1)).save(folder / "advisor-plan.toml")
    assert call("apply", "train.py", "--write") == 0
    said = capsys.readouterr().err
    assert "stays in the plan  early_stopping(patience=1): it acts while the training runs" in said
    assert 'use it  advisor.watch(..., plan="advisor-plan-rest.toml")' in said
    assert Plan.load(folder / "advisor-plan-rest.toml") == Plan.of("early_stopping", patience=1)
    assert call("undo", "train.py") == 0
    assert (folder / "train.py").read_text() == SCRIPT
    assert not (folder / "advisor-plan-rest.toml").exists()


def test_a_step_that_cannot_be_proven_stays_in_the_plan(folder: Path) -> None:
    """A script that looks at its own rate goes another way with another one; the rest is written all the same."""
    loop = "for _ in advisor"
    path = script(
        folder, (loop, f"if optimizer.param_groups[0]['lr'] > 0.05:\n    nn.init.zeros_(model[-1].bias)\n{loop}")
    )
    patch = make_patch(path, PLAN)
    assert list(patch.kept) == [0]
    assert patch.kept[0].startswith("not proven: train_loss of epoch 1 is ")
    line = "model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))"
    expected = [f"-{line}", "+" + line.replace("(4, 8)", "(4, 8), nn.BatchNorm1d(8)")]
    assert changes(patch.before, patch.after) == expected
    assert patch.rest == Plan.of("learning_rate", factor=10.0)
    assert patch.proof is not None


def test_an_argument_that_overrides_the_default(folder: Path) -> None:
    """A patched default changes nothing where the command line gives the number: the reason names it."""
    option = (
        'parser = ArgumentParser()\nparser.add_argument("--lr", type=float, default=0.1)\nargs = parser.parse_args()'
    )
    text = f"from argparse import ArgumentParser\n{option}\n" + SCRIPT.replace("lr=0.01", "lr=args.lr")
    (folder / "train.py").write_text(text)
    patch = make_patch(folder / "train.py", Plan.of("learning_rate", factor=2.0), ["--lr", "0.01"])
    assert patch.proof is None
    assert patch.kept[0].startswith("not proven: train_loss of epoch 1 is ")
    assert patch.kept[0].endswith("; `--lr 0.01` may decide in the place of a default")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["apply", "advisor-plan.toml"], 2, "expected a script, found only a plan"),
        (["apply", "nope.py"], 3, "expected a Python script, but there is no such file"),
        (["apply", "nope.toml", "train.py"], 6, "cannot read the plan: No such file"),
        (["apply", "train.py", "--lr", "1"], 2, "No such option: --lr"),
        (["undo", "train.py"], 2, "nothing was written here that could be undone"),
    ],
)
def test_a_wrong_word_is_one_message(
    words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was expected and found, and the next move."""
    assert call(*words) == code
    error, hint = capsys.readouterr().err.splitlines()
    assert message in error
    assert hint.startswith("hint:  ")


def test_another_order_is_proven_too(folder: Path) -> None:
    """The plan and shuffle=True draw the same orders, so that every loss is the same."""
    patch = make_patch(folder / "train.py", Plan.of("shuffle"))
    assert patch.proof is not None
    assert patch.kept == {}
    assert b"batch_size=16, shuffle=True)" in patch.after


@pytest.mark.parametrize("kind", ["cosine", "exponential", "step"])
def test_a_schedule_is_torchs_own(folder: Path, kind: str) -> None:
    """Every loss is that of the curve in the plan, to rounding."""
    patch = make_patch(folder / "train.py", Plan.of("learning_rate_schedule", kind=kind))
    assert patch.proof is not None
    assert patch.kept == {}


def test_a_plan_that_cannot_be_written_at_all(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each step with its reason, and the plan as the way that is left."""
    Plan.of("early_stopping", patience=1).save(folder / "advisor-plan.toml")
    assert call("apply", "train.py", "--write") == 6
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "stays in the plan  early_stopping(patience=1): it acts while the training runs" in shown.err
    assert 'hint:  use it as it is: advisor.watch(..., plan="advisor-plan.toml")' in shown.err
    assert (folder / "train.py").read_text() == SCRIPT


def test_a_plan_that_cannot_be_applied(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the remedy did not find, in which script, and the next move; a wrong parameter names the plan's file."""
    Plan.of("schedule_per_epoch").save(folder / "advisor-plan.toml")
    assert call("apply", "train.py") == 7
    assert capsys.readouterr().err.splitlines() == [
        "error: train.py, schedule_per_epoch: no scheduler of torch's acts on the optimizer",
        "hint:  take this remedy out of the plan",
    ]
    Plan.of("dropout", rat=0.5).save(folder / "advisor-plan.toml")
    assert call("apply", "train.py") == 6
    assert capsys.readouterr().err.splitlines() == [
        "error: advisor-plan.toml, remedy dropout: there is no parameter 'rat'",
        "hint:  it takes rate, conv_rate",
    ]


def test_a_script_that_fails_under_the_plan(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own error is shown, with the line."""
    script(folder, ("        optimizer.step()", "        raise ValueError('mine')"))
    assert call("apply", "train.py") == 3
    assert "error: train.py: ValueError: mine (train.py:19)" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["--diff", "--write"])
def test_fix_ends_with_the_patch(
    word: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the plan that the session accepted; without one it says so."""
    plan = Plan.of("learning_rate", factor=10.0)
    monkeypatch.setattr("advisor.following.fix_shown", lambda *_, **__: FixSession(plan=plan))
    assert call("fix", "train.py", word) == 0
    expected = SCRIPT.replace("lr=0.01", "lr=0.1")
    assert "+optimizer = torch.optim.SGD(model.parameters(), lr=0.1)" in capsys.readouterr().out.splitlines()
    assert (folder / "train.py").read_text() == (expected if word == "--write" else SCRIPT)
    monkeypatch.setattr("advisor.following.fix_shown", lambda *_, **__: FixSession())
    assert call("fix", "train.py", word) == 0
    assert capsys.readouterr().err == "no plan was accepted, so there is nothing to write into the script\n"
