"""Confidence is the share of a rule's findings that were right, drawn towards what the rule says itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from advisor import calibration
from advisor.errors import RuleError
from advisor.evidence import Evidence
from advisor.record import Record, RunInfo
from advisor.rulebook import load_rules

RULE = '''"""Always fires.

## What it does

Fires.

## Why it hurts

It does not.

## Example

    pass

## When it is wrong

Always.

## References

None.
"""

from advisor import Finding, rule


@rule(kind="fit", needs=[])
def always(run):
    return Finding(message="It fired.", numbers=(), confidence=0.9)
'''


@pytest.mark.parametrize(
    ("counts", "expected"), [((0, 0), 0.9), ((36, 0), 0.99), ((0, 4), 0.45), ((30, 6), 0.84), ((3, 1), 0.825)]
)
def test_counts_draw_the_confidence_from_what_the_rule_says(counts: tuple[int, int], expected: float) -> None:
    """(right + 4 · 0.9) / (right + wrong + 4)."""
    assert calibration.calibrated({"a": {"0.90": counts}}, "a", 0.9) == expected


def test_another_confidence_of_the_same_rule_has_counts_of_its_own() -> None:
    """What a rule says with 0.6 is not judged by what it said with 0.9."""
    assert calibration.calibrated({"a": {"0.90": (0, 40)}}, "a", 0.6) == 0.6


def test_a_folder_of_rules_may_hold_its_own_counts(tmp_path: Path) -> None:
    """The rule of a user's folder is calibrated by the file beside it, and not where there is none."""
    (tmp_path / "always.py").write_text(RULE, encoding="utf-8")

    def confidence() -> float:
        finding = load_rules([tmp_path])["always"].run(Evidence(Record(RunInfo()))).finding
        assert finding is not None
        return finding.confidence

    assert confidence() == 0.9
    (tmp_path / calibration.FILE).write_text(json.dumps({"always": {"0.90": [0, 4]}}), encoding="utf-8")
    assert confidence() == 0.45


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"always": 3}', '{"always": {"0.90": [1]}}', '{"always": {"0.90": ["a", 1]}}']
)
def test_a_broken_file_says_what_was_expected(tmp_path: Path, text: str) -> None:
    """Neither a crash nor silence."""
    (tmp_path / calibration.FILE).write_text(text, encoding="utf-8")
    with pytest.raises(RuleError, match=r"expected counts as rule -> confidence -> \[right, wrong\]"):
        calibration.load_counts(tmp_path)
