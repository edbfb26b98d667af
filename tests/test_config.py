"""[tool.advisor] in pyproject.toml: settings of our rules and of the user's, and what is said where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from advisor.config import load_config, rules_in_force
from advisor.diagnosis import Diagnosis, diagnose
from advisor.errors import AdvisorError, RuleError
from advisor.evidence import Evidence
from advisor.record import Record, RunInfo

MINE = '''"""Fires where the run has at most so many epochs.

## What it does
## Why it hurts
## Example
## When it is wrong
## References
"""
from typing import Annotated
from advisor import Convention, Finding, rule

@rule(kind="fit", needs=[])
def too_short(run, *, most: Annotated[int, Convention("a number for a test")] = 5,
              share: Annotated[float, Convention("a number for a test")] = 0.5):
    planned = run.info.epochs
    return Finding(message=f"It has {planned} epochs.", numbers=(), confidence=0.9) if planned <= most else None
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a rule of its own."""
    (tmp_path / "my_rules").mkdir()
    (tmp_path / "my_rules" / "too_short.py").write_text(MINE)
    return tmp_path


def settings(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(f"[tool.advisor]\n{text}\n")


def said(folder: Path, epochs: int) -> Diagnosis:
    """The diagnosis of a run of so many epochs, under the settings."""
    config = load_config(folder)
    return diagnose(Evidence(Record(RunInfo(epochs=epochs))), rules_in_force(config), config.thresholds)


@pytest.mark.parametrize("key", ["rule_folders", "rules"])
def test_a_folder_of_rules_is_relative_to_the_file(key: str, folder: Path) -> None:
    """Also from a directory below it; a list under `rules` is the same."""
    settings(folder, f'{key} = ["my_rules"]')
    (folder / "below").mkdir()
    assert [finding.rule for finding in said(folder / "below", 3).findings] == ["too_short"]
    assert said(folder, 6).findings == ()


def test_a_users_rule_can_be_set_and_disabled(folder: Path) -> None:
    """As one of ours can."""
    settings(folder, 'rule_folders = ["my_rules"]\n[tool.advisor.rules.too_short]\nmost = 6')
    assert [finding.message for finding in said(folder, 6).findings] == ["It has 6 epochs."]
    settings(folder, 'rule_folders = ["my_rules"]\ndisabled = ["too_short", "overfitting"]')
    diagnosis = said(folder, 3)
    assert diagnosis.findings == ()
    asked = {*diagnosis.clear, *(name for name, _ in diagnosis.not_applicable)}
    assert asked & {"too_short", "overfitting"} == set()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('disabled = ["overfiting"]', r"there is no rule 'overfiting'; did you mean overfitting"),
        ("[tool.advisor.rules.too_shrt]\nmost = 1", r"there is no rule 'too_shrt'; did you mean too_short"),
        (
            "[tool.advisor.rules.too_short]\nmots = 1",
            r"\[tool.advisor\] rules.too_short: too_short has no threshold 'mots'; did you mean most",
        ),
        (
            "[tool.advisor.rules.too_short]\nxyz = 1",
            r"too_short has no threshold 'xyz'; it has most, share",
        ),
        (
            "[tool.advisor.rules.too_short]\nmost = 2.5",
            r"most: expected a whole number, found 2.5; its default is 5",
        ),
        ("[tool.advisor.rules.too_short]\nmost = inf", r"most: expected a whole number, found inf"),
        ("[tool.advisor.rules.too_short]\nshare = nan", r"share: expected a number, found nan; its default is 0.5"),
        (
            '[tool.advisor.rules.too_short]\nshare = "0.5"',
            r"rules.too_short.share: Input should be a valid number, found '0.5'; thresholds are numbers",
        ),
        ("[tool.advisor.rules.too_short]\nshare = true", r"rules.too_short.share: .*valid number, found True"),
        ("[tool.advisor.rules]\ntoo_short = 1", r"rules.too_short: Input should be a valid dictionary, found 1"),
        ("rules = 1", r"rules: expected a table a rule, found 1"),
        ('disabled = "overfitting"', r"disabled: expected a list of strings, found 'overfitting'"),
        ("disabled = [1]", r"disabled: expected a list of strings, found \[1\]"),
        ("rule_folder = []", r"unknown setting rule_folder; expected rules, rule_folders or disabled"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, message: str, folder: Path) -> None:
    """The file, the setting, what was expected and what was found; a misspelt name gets the closest."""
    before, _, after = text.partition("[tool")
    folders = "" if "rule" in before else 'rule_folders = ["my_rules"]\n'
    settings(folder, folders + before + (f"[tool{after}" if after else ""))
    with pytest.raises(AdvisorError, match=message) as raised:
        rules_in_force(load_config(folder))
    assert str(folder / "pyproject.toml") in str(raised.value)


def test_a_folder_that_is_not_there(folder: Path) -> None:
    """Its path is named, and the setting."""
    settings(folder, 'rule_folders = ["theirs"]')
    with pytest.raises(RuleError, match=r"theirs: expected a folder of rules; check rule_folders in \[tool.advisor\]"):
        rules_in_force(load_config(folder))


def test_a_rule_that_is_named_like_one_of_ours(folder: Path) -> None:
    """There is one rule of a name."""
    (folder / "my_rules" / "overfitting.py").write_text(MINE.replace("too_short", "overfitting"))
    settings(folder, 'rule_folders = ["my_rules"]')
    with pytest.raises(RuleError, match=r"there is already a rule 'overfitting'; rename this one"):
        rules_in_force(load_config(folder))
