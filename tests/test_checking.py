"""What is found wanting in a rule: the rule that `advisor new-rule` writes passes, and each damage to it is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from advisor.cases import Cases, healthy_folder, load_cases, root_of
from advisor.checking import CHECKS, Check, title
from advisor.new_rule import new_rule
from advisor.partial import parts
from advisor.record import Phase, Record, RunInfo, Series
from advisor.rulebook import load_rule, load_rules, own_folder

OURS = load_rules()
BY_NAME = {check.__name__: check for check in CHECKS}


def record(strength: float) -> Record:
    """A run that learned, and logged this."""
    epochs = np.arange(12)
    falling, rising = 2.0 * 0.6**epochs, 1 - 0.5 * 0.6**epochs
    curves: list[tuple[str, Phase, object]] = [
        ("train_loss", "train", falling),
        ("val_loss", "val", falling + 0.01),
        ("val_accuracy", "val", rising),
        ("strength", "log", np.full(12, strength)),
    ]
    series = {
        name: Series(name, phase, ("",), epochs + 1, epochs, np.asarray(values, np.float32)[:, None])
        for name, phase, values in curves
    }
    return Record(RunInfo(task="binary", epochs=12), series, {"chance_score": 0.5, "initial": 1})


FAULTY, FIXED, HEALTHY = record(0.1), record(1.0), record(0.9)


def cases(folder: Path, damage: tuple[str, str] = ("", ""), **records: Record) -> Cases:
    """The rule that is written for a beginner, damaged, on constructed runs."""
    path = folder / "too_weak.py"
    if not path.exists():
        new_rule("too_weak", folder)
    text = path.read_text(encoding="utf-8")
    assert damage[0] in text
    path.write_text(text.replace(*damage) if damage[0] else text, encoding="utf-8")
    known = {"faulty": FAULTY, "fixed": FIXED, **records}
    named = {f"too_weak/{name}" if name in ("faulty", "fixed") else f"healthy/{name}": r for name, r in known.items()}
    return Cases({**OURS, "too_weak": load_rule(path)}, folder, {**named, "healthy/learned": HEALTHY})


def found(check: Check, made: Cases) -> list[str]:
    return list(check(made.rules["too_weak"], made))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_rule_to_start_from_passes(check: Check, tmp_path: Path) -> None:
    """Every check of it is silent, and has a sentence for its title."""
    assert [] == found(check, cases(tmp_path))
    assert title(check).endswith(".")


MEASURED = "0.19 in fixtures/too_weak/faulty.py, 1 in fixtures/too_weak/fixed.py"
WHY = "A schedule that is longer than the run ends in its first part: what was trained is not what was planned."
CODE = "    strength = min(1.0, epoch / 100)  # in a loop of 20 epochs\n    watch.log(strength=strength)"
READ = 'run.curve("strength").last'
NEEDS = 'needs=["strength"]'
DAMAGES = [
    ("complete_page", WHY, "Bad.", "## Why it hurts has fewer than 8 words: say more"),
    ("complete_page", CODE, CODE.replace("    ", ""), "## Example shows no code: indent some by four spaces"),
    ("complete_page", "https://", "see ", "## References has nothing to look up: give an address that begins with"),
    ("complete_page", "the whole.\n", "the whole\n", "the first paragraph is no sentence: end it with a full stop"),
    ("known_names", NEEDS, f'{NEEDS}, remedies=["prayer"]', "remedies has prayer: take it out, or one of "),
    ("known_names", NEEDS, f'{NEEDS}, probes=["ask"]', "probes has ask: take it out, or one of "),
    ("known_names", NEEDS, f'{NEEDS}, explains=["too_weak"]', "explains has too_weak: take it out, or one of "),
    (
        "known_names",
        NEEDS,
        f'{NEEDS}, explains=["underfitting"], contradicts=["underfitting"]',
        "contradicts has underfitting: take it out, or one of ",
    ),
    ("sourced_thresholds", MEASURED, "seen somewhere in our runs", "share is Measured on no fixture: name a path that"),
    ("sourced_thresholds", "too_weak/fixed.py", "other.py", "share is Measured on fixtures/other.py not in "),
    ("sourced_thresholds", MEASURED, "fixtures/too_weak", "share: 'fixtures/too_weak' is no reason: write 4 words or"),
    ("declared_names", READ, f'{READ} + 0 * run.curve("val_loss").last', "it reads val_loss: add to needs, or to opt"),
    ("declared_names", NEEDS, f'{NEEDS}, optional=["lr"]', "it never reads lr on any record: take it out, or add a"),
    ("first_on_faulty", "= 0.5,", "= 0.05,", "faulty.py: expected a finding, it is clear; make the fault stronger, or"),
    (
        "first_on_faulty",
        READ,
        "1 / 0",
        "faulty.py: expected a finding, it crashed: ZeroDivisionError: division by zero",
    ),
    ("clear_on_fixed", "not reached < share", "reached > 2", "fixed.py: expected clear, it fired: The strength of"),
    (
        "readable_finding",
        "reached {reached:.2f} at the end of {run.epochs} epochs",
        "too little",
        "message: expected a ",
    ),
    ("readable_finding", '"Make the warm-up shorter than the run."', '""', "first_step: expected a sentence that says"),
    ("readable_finding", "numbers=(", "numbers=() and (", "numbers: expected what the finding rests on, beside the"),
    (
        "silent_on_healthy",
        "= 0.5,",
        "= 0.95,",
        "healthy/learned: it fired: The strength of the penalty has reached 0.90",
    ),
    ("room_around_thresholds", "= 0.5,", "= 0.7,", "share = 1.05 instead of 0.7: fires on fixed.py, healthy/learned; "),
    ("room_around_thresholds", "= 0.5,", "= 0.12,", "share = 0.08 instead of 0.12, faulty.py: expected a finding, it"),
    (
        "answers_on_part_of_a_record",
        READ,
        f"int({READ} * 100) / 100",
        "too_weak/faulty without half of strength, which is NaN: ValueError: cannot convert float NaN to integer; ask",
    ),
]


@pytest.mark.parametrize(("check", "good", "bad", "message"), DAMAGES)
def test_what_is_missing_is_named(check: str, good: str, bad: str, message: str, tmp_path: Path) -> None:
    """One sentence says what was expected and found, and the next move."""
    said = found(BY_NAME[check], cases(tmp_path, (good, bad)))
    assert said[0].startswith(message)
    assert len(said) == 1 or check == "answers_on_part_of_a_record"  # each of the records has such a part


def test_a_cited_threshold_is_in_the_references(tmp_path: Path) -> None:
    """By the words before its first comma."""
    cases(tmp_path, ("Measured", "Cited"))
    made = cases(tmp_path, (MEASURED, "Nobody, 1999, page 3"))
    assert found(BY_NAME["sourced_thresholds"], made) == ["share cites 'Nobody': put it below ## References"]
    assert found(BY_NAME["sourced_thresholds"], cases(tmp_path, ("- PyTorch,", "- Nobody, 1999,"))) == []


def test_what_else_fires_has_to_be_explained(tmp_path: Path) -> None:
    """Whatever fires beside the rule is its symptom, or the program has another fault."""
    broken = FIXED.series["train_loss"]
    nan = replace(broken, values=np.full_like(broken.values, np.nan))
    faulty, fixed = (replace(r, series={**r.series, "train_loss": nan}) for r in (FAULTY, FIXED))
    said = found(BY_NAME["first_on_faulty"], cases(tmp_path, faulty=faulty))
    assert said[-1] == "faulty.py: non_finite_loss fires too: add to explains, or make a program with one fault"
    said = found(BY_NAME["clear_on_fixed"], cases(tmp_path, fixed=fixed))
    assert said == ["fixed.py: non_finite_loss fires: make a program without any fault"]
    explained = ('needs=["strength"]', 'needs=["strength"], explains=["non_finite_loss"]')
    assert found(BY_NAME["first_on_faulty"], cases(tmp_path, explained, faulty=faulty)) == []


def test_twins_are_there_and_differ_by_one_line(tmp_path: Path) -> None:
    """A missing script, a second difference and a script that was never run are three things."""
    made = cases(tmp_path)
    check, (faulty, fixed) = BY_NAME["paired_scripts"], made.scripts(made.rules["too_weak"])
    assert found(check, replace(made, records={})) == [
        "there is no record of them: run them with `advisor check-rules`"
    ]
    fixed.write_text(fixed.read_text().replace("lr=2e-3", "lr=1e-3"))
    assert found(check, made) == [
        "faulty.py and fixed.py differ by 2 lines beside their docstrings: let it be the fault's"
    ]
    faulty.unlink()
    assert found(check, made) == [f"there is no {faulty}: write it, a run with the fault and one without"]


def test_without_twins_nothing_is_said_of_them(tmp_path: Path) -> None:
    """One sentence is enough: the other checks are not made."""
    made = replace(cases(tmp_path), records={"healthy/learned": HEALTHY})
    assert [check.__name__ for check in CHECKS if found(check, made)] == ["paired_scripts"]


def test_parts_of_a_record() -> None:
    """Each series and fact that is read goes missing, is broken or empty; the others make no difference to a rule."""
    taken = dict(parts(FAULTY, ["strength", "initial", "nothing"]))
    assert list(taken) == [
        "everything",
        "the task",
        "the series strength",
        "half of strength, which is NaN",
        "the fact initial",
        "the value of the fact initial",
        *(f"all but {k} epoch(s)" for k in (1, 2, 3, 4)),
    ]
    assert taken["everything"].series == {}
    assert "strength" not in taken["the series strength"]
    values = taken["half of strength, which is NaN"].series["strength"].values[:, 0]
    assert np.isnan(values).tolist() == [False] * 6 + [True] * 6
    assert taken["the value of the fact initial"].facts["initial"] is None
    assert [taken[f"all but {k} epoch(s)"].epochs_seen for k in (1, 2, 3, 4)] == [1, 2, 3, 4]


def test_the_healthy_runs_are_ours_and_the_users(tmp_path: Path) -> None:
    """Those that come with advisor, and those in the `fixtures/healthy` of the folder."""
    ours = {f"healthy/{path.stem}" for path in healthy_folder().glob("*.json")}
    assert ours
    assert set(load_cases({}, tmp_path).records) == ours
    folder = tmp_path / "fixtures" / "healthy"
    folder.mkdir(parents=True)
    one = next(healthy_folder().glob("*.json"))
    (folder / "mine.json").write_text(one.read_text(encoding="utf-8"), encoding="utf-8")
    assert set(load_cases({}, tmp_path).healthy) == {*ours, "healthy/mine"}


def test_fixtures_are_in_the_folder_and_beside_ours(tmp_path: Path) -> None:
    """A user's folder holds everything; our rules ship without their twins."""
    assert root_of(tmp_path) == tmp_path
    assert root_of(own_folder()) == own_folder().parent
