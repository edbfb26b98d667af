"""The progress of `advisor fix`: every event becomes a line, with its numbers."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from advisor.diagnosis import Diagnosis
from advisor.events import Accepted, BaselineDone, Diagnosed, Event, RunDone, TrialDone, TrialStarted
from advisor.finding import Finding
from advisor.following import Follower
from advisor.plan import Plan
from advisor.session import Trial, Verdict

DROPOUT = Plan.of("dropout", rate=0.5)
VERDICT = Verdict(kind="helped", seeds=(1, 2), baseline=(0.5, 0.5), plan=(0.6, 0.6), gain=0.1, p=0.03125)


def lines(*events: Event, terminal: bool = False) -> list[str]:
    """What is printed for these events, without colours."""
    console = Console(file=StringIO(), width=120, force_terminal=terminal, color_system=None)
    with Follower(console, budget=20.0) as follower:
        for event in events:
            follower(event)
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_baseline_and_its_diagnosis() -> None:
    """How well the script does as it is, over how many seeds, and what is wrong with it."""
    finding = Finding(message="it memorises", numbers=(), confidence=0.93, rule="overfitting")
    assert lines(
        BaselineDone(Trial(number=0, plan=Plan(), stage="baseline", seeds=(1, 2), scores=(0.5, 0.7)), "val_accuracy"),
        Diagnosed(Plan(), Diagnosis(status="problems", findings=(finding,))),
    ) == [
        "baseline  2 seeds   val_accuracy 0.600 ± 0.141",
        "diagnosis overfitting  0.93   it memorises",
    ]


def test_a_healthy_baseline() -> None:
    """Nothing found is said in words, with what was seen."""
    assert lines(Diagnosed(Plan(), Diagnosis(status="healthy", reason="seen: 3 epochs"))) == [
        "diagnosis healthy   seen: 3 epochs"
    ]


def test_every_run_has_a_line_where_there_is_no_bar() -> None:
    """Without a terminal a long session still shows that it goes on; a run that broke says so."""
    baseline, _, first, second = lines(
        RunDone(trial=0, plan=Plan(), seed=0, score=None, seconds=2.0, spent=1.0, budget=20.0),
        Diagnosed(Plan(), Diagnosis(status="healthy", reason="seen: 3 epochs")),
        RunDone(trial=1, plan=DROPOUT, seed=1, score=0.6, seconds=2.0, spent=3.0, budget=20.0),
        RunDone(trial=1, plan=DROPOUT, seed=2, score=None, seconds=2.0, spent=4.0, budget=20.0),
    )
    assert baseline.startswith("          seed 0   2.0 s   (1 of 20 trainings, ")  # before the metric is known
    assert first.startswith("          seed 1   0.600   2.0 s   (3 of 20 trainings, ")
    assert second.startswith("          seed 2   not scored   2.0 s   (4 of 20 trainings, ")


def test_a_trial_with_its_verdict_as_it_comes() -> None:
    """Plan, stage, seeds, score, gain, verdict and what is to be noted."""
    kept = Trial(number=2, plan=DROPOUT, stage="confirm", seeds=(1, 2), scores=(0.6, 0.6), verdict=VERDICT, kept=True)
    lost = Trial(number=3, plan=DROPOUT, stage="screen", seeds=(1,), note="stopped at epoch 11")
    assert lines(
        TrialStarted(2, DROPOUT, "confirm", (1, 2)), TrialDone(kept), TrialDone(lost), Accepted(DROPOUT, VERDICT)
    ) == [
        "trial 2   confirm dropout(0.5)   2 seeds   0.600 ± 0.000   +0.100   helped ◀ kept",
        "trial 3   screen  dropout(0.5)   1 seed   no verdict   stopped at epoch 11",
    ]


def test_on_a_terminal_the_bar_goes_and_the_lines_stay() -> None:
    """What is under way stands in the bar, not in the lines."""
    shown = lines(RunDone(trial=1, plan=DROPOUT, seed=1, score=0.6, seconds=2.0, spent=3.0, budget=20.0), terminal=True)
    assert not any("seed 1" in line for line in shown)
