"""A series by layer -> a grid of one cell a layer and stretch of time, and the grid as coloured text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from advisor.record import Series
from advisor.report.tui.palette import RED, viridis
from advisor.report.wording import clean

NAME_WIDTHS = 8, 28  # narrowest and widest column of layer names: below the map loses its legend, above its room
NUMBER_WIDTH = 8  # of the last value, as in " 1.2e-03"
LEGEND_CELLS = 24


@dataclass(frozen=True, slots=True)
class Grid:
    """log10 of a quantity.

    cells:  (layers, columns); NaN where nothing is known, −inf for zero, +inf for a value that is not finite
    low, high: the scale's ends, whole powers of ten
    """

    cells: NDArray[np.float64]
    low: float
    high: float


def grid(series: Series, columns: int) -> Grid:
    """Mean of log10 in each of `columns` equal stretches of steps; a stretch without a sample repeats the one before.

    A stretch counts as not finite where one sample is not, and as zero where all samples are.
    """
    values = series.values.astype(np.float64)
    first, last = int(series.steps[0]), int(series.steps[-1])
    column = (series.steps - first) * columns // (last - first + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(np.isfinite(values), np.log10(np.abs(values)), np.inf)
    cells = np.full((values.shape[1], columns), np.nan)
    for place in np.unique(column):
        cells[:, place] = _mean(logs[column == place])
    known = np.maximum.accumulate(np.where(np.isin(np.arange(columns), column), np.arange(columns), 0))
    cells = cells[:, known]
    shown = cells[np.isfinite(cells)].round(4)  # float32: 1e-3 must not open the decade below
    low = float(np.floor(shown.min())) if len(shown) else 0.0
    high = float(np.ceil(shown.max())) if len(shown) else 1.0
    return Grid(cells, low, max(high, low + 1))


def _mean(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """(samples, layers) -> (layers,)"""
    positive = np.isfinite(logs)
    count = positive.sum(axis=0)
    mean = np.where(positive, logs, 0.0).sum(axis=0) / np.maximum(count, 1)
    mean = np.where(count > 0, mean, -np.inf)
    return np.where((logs == np.inf).any(axis=0), np.inf, mean)


def drawn(series: Series, width: int, labels: Sequence[str] = ()) -> Text:
    """The map, a row a layer: label (by default its name), cells, last value. At most `width` columns."""
    labels = [clean(label) for label in labels or series.axis]
    widest = max(map(len, labels), default=0)
    name_width = min(max(widest, NAME_WIDTHS[0]), NAME_WIDTHS[1], width // 3)
    columns = max(width - name_width - NUMBER_WIDTH - 2, 1)
    found = grid(series, columns)
    text = Text(no_wrap=True, end="")
    for row, label in enumerate(labels):
        text.append(f"{_end_of(label, name_width):<{name_width}} ")
        for cell in found.cells[row]:
            _append(text, cell, found)
        text.append(f" {_short(float(series.values[-1, row])):>{NUMBER_WIDTH}}\n", style="dim")
    span = f"epoch {series.epochs[0]}"
    end = f"epoch {series.epochs[-1]}"
    text.append(
        f"{'':{name_width}} {span}{end:>{max(columns - len(span), 0)}}{'last':>{NUMBER_WIDTH + 1}}", style="dim"
    )
    return text


def legend(series: Series) -> Text:
    """The scale's ends, its colours, and the two marks that are off it."""
    found = grid(series, LEGEND_CELLS)
    text = Text(f"{_power(found.low)} ", style="dim", no_wrap=True)
    for place in range(LEGEND_CELLS):
        text.append(" ", style=f"on {viridis(place / (LEGEND_CELLS - 1))}")
    text.append(f" {_power(found.high)}")
    return text.append("   · zero   ").append("×", style=f"not dim bold {RED}").append(" not finite")


def _power(exponent: float) -> str:
    return f"1e{exponent:.0f}" if exponent else "1"


def _append(text: Text, cell: float, found: Grid) -> None:
    if cell == np.inf:
        text.append("×", style=f"bold {RED}")
    elif cell == -np.inf:
        text.append("·", style="dim")
    elif np.isnan(cell):
        text.append(" ")
    else:
        text.append(" ", style=f"on {viridis((cell - found.low) / (found.high - found.low))}")


def _end_of(name: str, width: int) -> str:
    """The end of a name tells layers apart."""
    return name if len(name) <= width else "…" + name[len(name) - width + 1 :]


def _short(value: float) -> str:
    return f"{value:.1e}" if np.isfinite(value) and value else f"{value:g}"
