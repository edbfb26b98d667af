"""The live screen from constructed records: what it shows, in words and curves."""

from __future__ import annotations

import math

import numpy as np
from rich.console import Console

from advisor.diagnosis import Diagnosis
from advisor.finding import Finding
from advisor.record import Record, RunInfo, Series
from advisor.screen import curve_names, epoch_line, panel, sparkline, time_left


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


def shown(found: Record | None, diagnosis: Diagnosis | None = None, now: float = 32.0) -> str:
    """The panel as text on 80 columns."""
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(panel("train.py", found, diagnosis, now))
    return capture.get()


def test_before_the_first_epoch() -> None:
    """Until `advisor.watch` is reached the screen says what it waits for."""
    assert "waiting for advisor.watch" in shown(None)


def test_progress_curves_and_time_left() -> None:
    """Epochs done of those planned, the time so far and at this pace, each curve beside its last value."""
    text = shown(record())
    assert "train.py · run 3 · running" in text
    for part in (
        "epoch 4 of 10",
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
    assert "epoch 4 " in text
    assert "left" not in text


def test_findings_as_they_stand() -> None:
    """The first three findings, how many more there are, and the count of rules."""
    findings = tuple(Finding(message=f"it is {k}", numbers=(), confidence=0.9, rule=f"fault_{k}") for k in range(5))
    text = shown(record(), Diagnosis(status="problems", findings=findings, clear=("other",)))
    for part in ("fault_0  0.90", "it is 2", "and 2 more", "6 rules: 5 fired, 1 clear"):
        assert part in text
    assert "fault_3" not in text


def test_markup_and_escapes_in_a_message_are_text() -> None:
    """What a rule quotes from the run cannot restyle or clear the screen."""
    finding = Finding(message="layer [red]x[/] \x1b[2J", numbers=(), confidence=0.5, rule="fault")
    assert "layer [red]x[/] " in shown(record(), Diagnosis(status="problems", findings=(finding,)))


def test_a_line_an_epoch() -> None:
    """Without a terminal each epoch is one line; only the newest says how much time is left."""
    assert epoch_line(record(), 3, 32.0) == (
        "epoch 4 of 10  train_loss 1.000  val_accuracy 0.750  mine 4.000  48 s left"
    )
    assert epoch_line(record(), 0, 32.0) == "epoch 1 of 10  train_loss 4.000  val_accuracy 0.250  mine 1.000"


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
