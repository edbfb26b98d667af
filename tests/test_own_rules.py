"""`advisor new-rule` and `advisor check-rules`: what they write, print and end with. README's test trains the twins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from test_checking import FAULTY, FIXED

from advisor import cli
from advisor.cases import load_cases, root_of
from advisor.checking import CHECKS
from advisor.errors import AdvisorError, RuleError
from advisor.examining import examine
from advisor.new_rule import new_rule
from advisor.recorded import record, record_for
from advisor.rulebook import load_rules, own_folder
from advisor.snapshot import to_json

LATER = 60.0  # s: clearly after what was written a moment ago
PROGRAM = """
import sys
import torch
import advisor
import neighbour

torch.manual_seed(0)
model = torch.nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=neighbour.LR)
watch = advisor.watch(range(3), model, optimizer)
for epoch in watch:
    watch.log(threads=torch.get_num_threads())
    optimizer.zero_grad()
    torch.nn.functional.mse_loss(model(torch.ones(2, 1)), torch.zeros(2, 1)).backward()
    optimizer.step()
print("said by the script")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ADVISOR_DEBUG", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def call(*words: str) -> int:
    """The exit code of `advisor` with these words."""
    with pytest.raises(SystemExit, match=r".*") as end:
        cli.main(words)
    assert isinstance(end.value.code, int)
    return end.value.code


def with_records(folder: Path, name: str = "too_weak") -> None:
    """The rule to start from, with the records of two runs that nobody had to train."""
    new_rule(name, folder)
    for twin, made in (("faulty", FAULTY), ("fixed", FIXED)):
        (folder / "fixtures" / name / f"{twin}.json").write_text(to_json(made), encoding="utf-8")


def test_a_new_rule_is_three_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rule and its twins, and what to type next; dashes are underscores."""
    assert call("new-rule", "too-weak", "--folder", "mine") == 0
    files = ["mine/too_weak.py", "mine/fixtures/too_weak/faulty.py", "mine/fixtures/too_weak/fixed.py"]
    assert capsys.readouterr().out.splitlines() == [
        *(f"wrote {name}" for name in files),
        "check it  advisor check-rules mine",
        'use it    rule_folders = ["mine"] below [tool.advisor] in pyproject.toml',
    ]
    assert [name for name in files if not (folder / name).is_file()] == []
    for name in files:
        text = (folder / name).read_text(encoding="utf-8")
        compile(text, name, "exec")
        assert not any(word in text for word in ("NAME", "SENTENCE", "EPOCHS"))


@pytest.mark.parametrize("there", ["too_weak.py", "fixtures/too_weak/fixed.py"])
def test_no_file_is_overwritten(there: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where one of the three is there, none is written."""
    path = folder / "my_rules" / there
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    assert call("new-rule", "too_weak") == 5
    assert f"there is already my_rules/{there}\nhint:  choose another name" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert [p for p in (folder / "my_rules").rglob("*.py") if p != path] == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Too weak!", r"'Too weak!' cannot be the name of a rule; it becomes a function"),
        ("../escape", r"'../escape' cannot be the name of a rule"),
        ("class", r"'class' cannot be the name of a rule"),
        ("overfitting", r"advisor has a rule 'overfitting'; `advisor explain overfitting` shows it"),
    ],
)
def test_a_name_that_cannot_be(name: str, message: str, folder: Path) -> None:
    """It has to be a function, and not one of ours."""
    with pytest.raises(RuleError, match=message):
        new_rule(name, folder)


def test_a_folder_that_cannot_be_written(folder: Path) -> None:
    """A file in its place is named."""
    (folder / "mine").write_text("")
    with pytest.raises(RuleError, match=r"cannot write mine.*: .*; choose another --folder"):
        new_rule("too_weak", Path("mine"))


def test_a_rule_that_passes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 0; nothing is run where the records are there."""
    with_records(folder / "my_rules")
    assert call("check-rules") == 0
    shown = capsys.readouterr()
    assert shown.out.split() == ["too_weak", "all", str(len(CHECKS)), "checks", "passed"]
    assert shown.err == ""


def test_a_rule_that_does_not_pass(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each failed check with what was found and what to do; the others are checked all the same; exit code 5."""
    with_records(folder / "my_rules")
    with_records(folder / "my_rules", "weaker")
    path = folder / "my_rules" / "too_weak.py"
    path.write_text(path.read_text().replace("= 0.5,", "= 0.05,").replace("https://", "see "))
    assert call("check-rules", "my_rules") == 5
    shown = capsys.readouterr()
    assert shown.err == "error: my_rules: 1 of 2 rules do not pass\n"
    for line in (
        f"too_weak  3 of {len(CHECKS)} checks failed",
        "          The page is complete.",
        "            ## References has nothing to look up: give an address that begins with https://",
        "            faulty.py: expected a finding, it is clear; make the fault stronger, or the thresholds looser",
        f"weaker    all {len(CHECKS)} checks passed",
    ):
        assert line in [line.rstrip() for line in shown.out.splitlines()]


def test_a_file_that_is_no_rule_and_one_that_bears_our_name(folder: Path) -> None:
    """They are named, and the rest of the folder is checked."""
    mine = folder / "my_rules"
    with_records(mine)
    (mine / "broken.py").write_text("1 / 0\n")
    (mine / "overfitting.py").write_text((mine / "too_weak.py").read_text().replace("too_weak", "overfitting"))
    (mine / "_notes.py").write_text("1 / 0\n")
    found = {one.rule: [failure.found for failure in one.failures] for one in examine(mine, print)}
    assert list(found) == ["broken", "overfitting", "too_weak"]
    assert found["broken"] == [
        f"{mine / 'broken.py'}: cannot be imported: ZeroDivisionError: division by zero; run it with python"
    ]
    assert found["overfitting"][0].endswith("overfitting.py: advisor has a rule of that name; rename this one")
    assert found["too_weak"] == []


def test_twins_that_cannot_be_run(folder: Path) -> None:
    """What the script raised is named; one that never watches is told so."""
    mine = folder / "my_rules"
    new_rule("too_weak", mine)
    faulty, fixed = (mine / "fixtures" / "too_weak" / f"{twin}.py" for twin in ("faulty", "fixed"))
    faulty.write_text('raise ValueError("no data")\n')
    fixed.write_text("import sys; sys.exit(3)\n")
    said: list[str] = []
    (one,) = examine(mine, said.append)
    assert said == ["running fixtures/too_weak/faulty.py", "running fixtures/too_weak/fixed.py"]
    assert [failure.found for failure in one.failures[:2]] == [
        "faulty.py: ValueError: no data; run it by itself",
        "fixed.py: SystemExit: 3; run it by itself",
    ]
    faulty.write_text("")
    (one,) = examine(mine, said.append)
    assert "there is no run 1" in one.failures[0].found


def test_a_twin_that_has_changed_is_run_again(folder: Path) -> None:
    """A record that is older than its script says nothing of it."""
    with_records(folder / "my_rules")
    script = folder / "my_rules" / "fixtures" / "too_weak" / "faulty.py"
    stored = script.with_suffix(".json")
    script.write_text('raise ValueError("changed")\n')
    written = stored.stat().st_mtime
    os.utime(script, (written + LATER, written + LATER))
    (one,) = examine(folder / "my_rules", lambda line: None)
    assert one.failures[0].found == "faulty.py: ValueError: changed; run it by itself"


@pytest.mark.parametrize(
    ("name", "message"), [("nowhere", "there is no such folder"), ("empty", "found no rule in it")]
)
def test_nothing_to_check(name: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The hint says how to get a rule."""
    (folder / "empty").mkdir()
    assert call("check-rules", name) == 5
    shown = capsys.readouterr().err
    assert message in shown
    assert f"`advisor new-rule NAME --folder {name}` writes one" in shown


def test_a_stored_record_that_is_none(folder: Path) -> None:
    """The file is named."""
    with_records(folder / "my_rules")
    (folder / "my_rules" / "fixtures" / "too_weak" / "faulty.json").write_text("{}")
    with pytest.raises(AdvisorError, match=r"faulty\.json: expected a record as JSON"):
        examine(folder / "my_rules", print)


def test_a_script_is_recorded_as_a_trial_would_run_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On one thread, with its neighbours at hand, silently, and without a trace in the working directory."""
    (folder / "neighbour.py").write_text("LR = 0.125\n")
    (folder / "script.py").write_text(PROGRAM)
    made = record(folder / "script.py")
    assert made.series["lr"].values[0, 0] == 0.125
    assert made.series["threads"].values[:, 0].tolist() == [1.0] * 3
    assert capsys.readouterr().out == ""
    assert not (folder / ".advisor").exists()
    again = record_for(folder / "script.py", None)
    assert again.series["step_loss"].values.tolist() == made.series["step_loss"].values.tolist()
    (folder / "other").mkdir()
    (folder / "other" / "neighbour.py").write_text("LR = 0.25\n")
    (folder / "other" / "script.py").write_text(PROGRAM)
    assert record(folder / "other" / "script.py").series["lr"].values[0, 0] == 0.25


def test_our_own_rules_find_their_twins() -> None:
    """They lie beside our folder, and those of a user within it."""
    rules = load_rules()
    assert load_cases(rules, root_of(own_folder())).twins(rules["overfitting"]) is not None
