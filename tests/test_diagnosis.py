"""A diagnosis agrees with itself, and calls a run healthy only where something was learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from advisor.diagnosis import agree, diagnose
from advisor.evidence import Evidence
from advisor.finding import Finding
from advisor.record import Json, Phase, Record, RunInfo, Series
from advisor.rulebook import Rule, load_rule

RULE = '''"""Fires as it is told.

## What it does
## Why it hurts
## Example
## When it is wrong
## References
"""
from advisor import Finding, rule

@rule(kind="fit", needs=[], contradicts={contradicts})
def {name}(run):
    return Finding(message="It is 1.", numbers=(), confidence={confidence}) if {confidence} else None
'''


def rules(folder: Path, **told: tuple[float, list[str]]) -> dict[str, Rule]:
    """Rules that fire with a confidence (0: not at all) and contradict others."""
    for name, (confidence, contradicts) in told.items():
        text = RULE.format(name=name, confidence=confidence, contradicts=contradicts)
        (folder / f"{name}.py").write_text(text)
    return {name: load_rule(folder / f"{name}.py") for name in told}


def run(
    val_accuracy: list[float], clean_train_accuracy: float | None = None, *, step_based: bool = False, **facts: Json
) -> Evidence:
    """A classification with two classes, of which guessing gets half right."""
    curves: dict[str, tuple[Phase, list[float]]] = {
        "train_loss": ("train", [0.5] * len(val_accuracy)),
        "val_accuracy": ("val", val_accuracy),
    }
    if clean_train_accuracy is not None:
        curves["clean_train_accuracy"] = ("clean_train", [clean_train_accuracy])
    series = {
        name: Series(name, phase, ("",), np.arange(len(v)), np.arange(len(v)), np.array(v, np.float32)[:, None])
        for name, (phase, v) in curves.items()
    }
    return Evidence(Record(RunInfo(task="binary", step_based=step_based), series, {"chance_score": 0.5, **facts}))


def test_of_two_that_contradict_the_surer_is_said(tmp_path: Path) -> None:
    """The other is counted as set aside, whichever of the two said that they contradict each other."""
    for sides in ((["down"], []), ([], ["up"])):
        known = rules(tmp_path, up=(0.6, sides[0]), down=(0.8, sides[1]), third=(0.7, []))
        diagnosis = diagnose(run([0.9] * 4), known)
        assert [finding.rule for finding in diagnosis.findings] == ["down", "third"]
        assert diagnosis.set_aside == (("up", "down"),)
        assert diagnosis.counts == "3 rules: 3 fired (1 contradicted by a surer one), 0 clear"


def test_what_is_set_aside_sets_nothing_aside(tmp_path: Path) -> None:
    """A chain of contradictions leaves every other one."""
    known = rules(tmp_path, first=(0.9, ["second"]), second=(0.8, ["third"]), third=(0.7, []))
    assert [finding.rule for finding in diagnose(run([0.9] * 4), known).findings] == ["first", "third"]


def test_a_note_gives_way_to_a_problem(tmp_path: Path) -> None:
    """However sure it is."""
    known = rules(tmp_path, up=(0.9, ["down"]), down=(0.5, []))
    note = Finding(message="It is 1.", numbers=(), confidence=0.9, rule="up", severity="note")
    problem = Finding(message="It is 1.", numbers=(), confidence=0.5, rule="down")
    assert agree([note, problem], known) == ([problem], {"up": "down"})


@pytest.mark.parametrize(
    ("val", "train", "samples", "status"),
    [
        ([0.5, 0.5, 0.5], 0.5, 1000, "not_enough_evidence"),
        ([0.45, 0.55, 0.5], None, None, "not_enough_evidence"),
        ([0.51, 0.52, 0.52], 0.51, 1000, "not_enough_evidence"),
        ([0.51, 0.52, 0.52], 0.8, 1000, "healthy"),
        ([0.6, 0.6, 0.6], None, 1000, "healthy"),
        ([0.6, 0.6, 0.6], None, 50, "not_enough_evidence"),
        ([0.9, 0.9, 0.9], None, None, "healthy"),
    ],
    ids=["at chance", "one lucky epoch", "within the error", "learned", "clear", "few samples", "unknown samples"],
)
def test_healthy_is_never_said_at_chance_level(
    val: list[float], train: float | None, samples: int | None, status: str, tmp_path: Path
) -> None:
    """Two binomial errors, 0.032 for 1,000 samples and 0.141 for 50, above the half that guessing gets right."""
    facts = {"val_samples": samples, "clean_train_samples": samples} if samples else {}
    diagnosis = diagnose(run(val, train, **facts), rules(tmp_path, silent=(0, [])))
    assert diagnosis.status == status
    assert ("is not above guessing" in diagnosis.reason) == (status != "healthy")


def test_healthy_says_what_it_covered(tmp_path: Path) -> None:
    """What was seen, what was not, and how far from guessing."""
    diagnosis = diagnose(run([0.75, 0.75, 0.75]), rules(tmp_path, silent=(0, [])))
    assert diagnosis.reason == (
        "seen: 3 epochs, 2 steps, validation, no gradients, no activations, "
        "validation score 0.750 against 0.500 by guessing"
    )


def test_a_loop_that_counts_steps_hears_of_no_epochs(tmp_path: Path) -> None:
    """An epoch of its record is a window of ours."""
    diagnosis = diagnose(run([0.75, 0.75, 0.75], step_based=True), rules(tmp_path, silent=(0, [])))
    assert diagnosis.reason.startswith("seen: 2 steps, validation")


def test_a_rule_that_returns_something_else_has_crashed(tmp_path: Path) -> None:
    """And harms no other."""
    text = RULE.format(name="odd", confidence=0, contradicts=[]).replace("else None", "else True")
    (tmp_path / "odd.py").write_text(text)
    outcome = load_rule(tmp_path / "odd.py").run(run([0.9] * 4))
    assert (outcome.result, outcome.error) == ("crashed", "TypeError: expected a Finding or None, got bool")
