"""A record -> the lines of its two plots, loss and score, with their axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from advisor.record import Record
from advisor.report.tui.palette import BASELINE, CLEAN_TRAIN, TRAIN, VALIDATION

PHASES = (("train", TRAIN), ("clean_train", CLEAN_TRAIN), ("val", VALIDATION))
SCORES = ("accuracy", "r2")
LABELS = {"train": "train", "clean_train": "clean train", "val": "validation"}
DECADES = 100.0  # a larger ratio between the ends of an axis hides the small end: then the axis is logarithmic


@dataclass(frozen=True, slots=True)
class Line:
    """x, y: (S,) finite points; broken: the first x at which the value was not finite."""

    label: str
    color: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    broken: int | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """One plot. Logarithmic: `lines` hold log10 of the values."""

    title: str
    unit: str  # of the x axis: "epoch", "step" or "window of steps"
    lines: tuple[Line, ...]
    logarithmic: bool = False


def pictures(record: Record, baseline: Record | None = None) -> list[Picture]:
    """Loss, then the score where one was measured; what was never recorded is left out.

    baseline: another run, whose validation is drawn in grey beside this one's
    A run without a complete epoch shows its loss by step.
    """
    found = []
    unit = "window of steps" if record.info.step_based else "epoch"
    loss = _lines(record, "loss", baseline)
    if loss:
        found.append(_scaled("loss", unit, loss))
    elif "step_loss" in record:
        found.append(_scaled("loss", "step", [_line(record, "step_loss", "train", TRAIN)]))
    for score in SCORES:
        lines = _lines(record, score, baseline)
        if lines:
            found.append(Picture({"r2": "R²"}.get(score, score), unit, tuple(lines)))
    return found


def broken(shown: Sequence[Picture]) -> str:
    """Where a line ends because its values were not finite; "" where none does."""
    parts = [f"{p.title} of {x.label} from {p.unit} {x.broken}" for p in shown for x in p.lines if x.broken is not None]
    return f"not finite: {', '.join(parts)}" if parts else ""


def limits(lines: Sequence[Line]) -> tuple[float, float, float, float]:
    """x and y from where to where, never empty."""
    x = np.concatenate([line.x for line in lines])
    y = np.concatenate([line.y for line in lines])
    if not len(x):
        return 0.0, 1.0, 0.0, 1.0
    right = max(float(x.max()), float(x.min()) + 1)
    low, high = float(y.min()), float(y.max())
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0  # 5 %: a line must not run into the frame
    return float(x.min()), right, low - margin, high + margin


def _lines(record: Record, quantity: str, baseline: Record | None) -> list[Line]:
    """In the order of drawing: where lines meet, validation is on top."""
    lines = []
    if baseline is not None and f"val_{quantity}" in baseline:
        lines.append(_line(baseline, f"val_{quantity}", "baseline", BASELINE))
    for phase, color in PHASES:
        if f"{phase}_{quantity}" in record:
            lines.append(_line(record, f"{phase}_{quantity}", LABELS[phase], color))
    return lines


def _line(record: Record, name: str, label: str, color: str) -> Line:
    series = record.series[name]
    x, y = series.at.astype(np.float64), series.values[:, 0].astype(np.float64)
    finite = np.isfinite(y)
    first = None if finite.all() else int(x[~finite][0])
    return Line(label, color, x[finite], y[finite], first)


def _scaled(title: str, unit: str, lines: Sequence[Line]) -> Picture:
    y = np.concatenate([line.y for line in lines])
    if not len(y) or y.min() <= 0 or y.max() <= DECADES * y.min():
        return Picture(title, unit, tuple(lines))
    logs = tuple(Line(line.label, line.color, line.x, np.log10(line.y), line.broken) for line in lines)
    return Picture(f"{title}, logarithmic", unit, logs, logarithmic=True)
