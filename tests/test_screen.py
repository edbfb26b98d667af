"""The live screen from constructed records: what it shows, in words and curves."""

from __future__ import annotations

import math

import numpy as np
from rich.console import Console

from advisor.diagnosis import Diagnosis
from advisor.finding import Finding
from advisor.record import Record, RunInfo, Series
from advisor.screen import curve_names, epoch_line, news_line, panel, sparkline, time_left
from advisor.states import History, State


def record(**info: object) -> Record:
    """Four epochs of eight seconds each, of which a screen at the time 32 has seen all."""
    known = {"id": 3, "name": "train.py", "started": 0.0, "epochs": 10, "task": "multiclass", "metric": "mine"}
    series = {
        name: Series(name, phase, ("",), np.arange(4), np.arange(4), np.array(values, dtype=np.float32)[:, None])
        for name, phase, values in (
            ("train_loss", "train", [4.0, 3.0, 2.0, 1.0]),
            ("val_accuracy", "val", [0.25, 0.5, 0.5, 0.75]),
            ("mine", "log", [1.0, 2.0, 3.0, 4.0]),
            ("grad_norm", "step", [1.0, 1.0, 1.0, 1.0]),
        )
    }
    return Record(RunInfo.model_validate({**known, **info}), series)  # type: ignore[arg-type]


def shown(
    found: Record | None, diagnosis: Diagnosis | None = None, now: float = 32.0, *, states: tuple[State, ...] = ()
) -> str:
    """The panel as text on 80 columns."""
    console = Console(width=80, force_terminal=False)
    history = History(states, 3)
    with console.capture() as capture:
        console.print(panel("train.py", found, diagnosis, history, now))
    return capture.get()


def test_before_the_first_epoch() -> None:
    """Until `advisor.watch` is reached the screen says what it waits for."""
    assert "waiting for advisor.watch" in shown(None)


def test_progress_curves_and_time_left() -> None:
    """Epochs done of those planned, the time so far and at this pace, each curve beside its last value."""
    text = shown(record())
    assert "train.py · run 3 · running" in text
    for part in (
        "4 of 10 epochs",
        "32 s",
        "48 s left",
        "train_loss    1.000  █▆▃▁",
        "val_accuracy  0.750  ▁▅▅█",
        "mine",
    ):
        assert part in text
    assert "grad_norm" not in text


def test_an_endless_loop_has_no_time_left() -> None:
    """Without a planned number of epochs there is a count and no promise."""
    text = shown(record(epochs=None))
    assert "4 epochs " in text
    assert "left" not in text


def test_a_loop_over_steps_is_measured_in_steps() -> None:
    """Its length is a number of steps; an epoch is then a window of them, and says nothing about what is left."""
    found = record(step_based=True, epochs=30)
    assert "step 3 of 30" in shown(found)
    assert "4 min 48 s left" in shown(found)  # 27 steps more at 32 / 3 s a step
    assert epoch_line(found, 0, 32.0).startswith("1 window of steps  train_loss 4.000")


def finding(name: str, message: str = "It is so.", confidence: float = 0.9, cause: str | None = None) -> Finding:
    return Finding(message=message, numbers=(), confidence=confidence, rule=name, explained_by=cause)


def test_findings_as_they_stand() -> None:
    """The three surest that were raised, what they explain, how many more there are, and the count of rules."""
    findings = tuple(finding(f"fault_{k}", f"It is {k}.", 0.9 - k / 10) for k in range(5))
    symptom = finding("symptom", cause="fault_0")
    states = tuple(State(f, seen=1, raised=2) for f in findings)
    text = shown(record(), Diagnosis(status="problems", findings=(*findings, symptom), clear=("other",)), states=states)
    parts = (
        "fault_0  0.90  raised in epoch 2",
        "It is 2.",
        "and 2 more",
        "7 rules: 6 fired, 1 clear",
        "explains symptom",
    )
    assert [part for part in parts if part not in text] == []
    assert "fault_3" not in text


def test_what_was_seen_once_is_not_said() -> None:
    """A suspicion has no name on the screen until it is confirmed."""
    one = finding("fault")
    text = shown(record(), Diagnosis(status="problems", findings=(one,)), states=(State(one, seen=3),))
    assert "1 suspected: the next epoch confirms it or not" in text
    assert "It is so." not in text


def test_what_is_over_is_said_below() -> None:
    """The two that were cleared last, and why."""
    old, over, explained = (
        State(finding(name), seen=0, raised=1, cleared=at, cause=cause)
        for name, at, cause in (("oldest", 1, None), ("was_fault", 2, None), ("symptom", 3, "cause"))
    )
    text = shown(record(), Diagnosis(status="healthy", reason="seen: 4 epochs"), states=(old, over, explained))
    assert "cleared  was_fault, raised in epoch 1, over in epoch 2" in text
    assert "cleared  symptom, raised in epoch 1, explained by cause in epoch 3" in text
    assert "nothing found so far; seen: 4 epochs" in text
    assert "oldest" not in text


def test_healthy_is_not_said_where_one_cannot_tell() -> None:
    """The reason stands there instead."""
    text = shown(record(), Diagnosis(status="not_enough_evidence", reason="the score is what guessing gives"))
    assert "the score is what guessing gives" in text
    assert "nothing found" not in text


def test_markup_and_escapes_in_a_message_are_text() -> None:
    """What a rule quotes from the run cannot restyle or clear the screen."""
    said = finding("fault", "layer [red]x[/] \x1b[2J")
    states = (State(said, seen=0, raised=1),)
    assert "layer [red]x[/] " in shown(record(), Diagnosis(status="problems", findings=(said,)), states=states)


def test_a_line_where_a_finding_is_raised_or_cleared() -> None:
    """One line each, on a log."""
    said = State(finding("fault", "It is \x1b[31mred."), seen=1, raised=2)
    assert news_line(said) == "raised  fault 0.90  It is red."
    over = State(said.finding, seen=1, raised=2, cleared=5)
    assert news_line(over) == "cleared  fault, raised in epoch 2, over in epoch 5"


def test_a_line_an_epoch() -> None:
    """Without a terminal each epoch is one line; only the newest says how much time is left."""
    assert epoch_line(record(), 3, 32.0) == (
        "4 of 10 epochs  train_loss 1.000  val_accuracy 0.750  mine 4.000  48 s left"
    )
    assert epoch_line(record(), 0, 32.0) == "1 of 10 epochs  train_loss 4.000  val_accuracy 0.250  mine 1.000"


def test_the_series_that_a_reader_follows() -> None:
    """Losses, scores of the task and the user's own metric, in this order, those that are there."""
    assert curve_names(record()) == ["train_loss", "val_accuracy", "mine"]


def test_sparkline() -> None:
    """Bars from least to greatest; a long curve keeps its ends; what is not finite is marked; a constant is low."""
    assert sparkline([0, 7]) == "▁█"
    assert sparkline([1.0, 1.0]) == "▁▁"
    assert sparkline([0, math.nan, 7, math.inf]) == "▁×█×"
    assert sparkline([math.nan]) == "×"
    assert sparkline([]) == ""
    long = sparkline(list(range(1000)), width=8)
    assert long == "▁▂▃▄▅▆▇█"


def test_time_left_needs_a_pace_and_an_end() -> None:
    """Nothing is promised before the first epoch, for an endless loop, or when the run is over."""
    info = record().info
    assert time_left(info, 4, 32.0) == 48.0
    assert time_left(info, 0, 32.0) is None
    assert time_left(info.model_copy(update={"epochs": None}), 4, 32.0) is None
    assert time_left(info.model_copy(update={"status": "finished"}), 4, 32.0) is None
