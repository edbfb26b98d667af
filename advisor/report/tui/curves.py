"""The curves panel: loss and score by epoch, on training data, on clean training data and on validation data."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.reactive import reactive
from textual.widgets import Static
from textual_plot import HiResMode, NumericAxisFormatter, PlotWidget

from advisor.record import Record
from advisor.report.tui.lines import Picture, broken, limits, pictures
from advisor.report.tui.palette import FOREGROUND, RED

NARROWEST, ROOMY_GAP = 78, 3  # columns of the smallest terminal without the padding, and between names of a legend
MOST_TICKS = 6  # labels of four digits that fit below a plot of 30 columns


class Ticks(NumericAxisFormatter):
    """Three digits a label; powers of ten where the axis is logarithmic."""

    def __init__(self, picture: Picture) -> None:
        self.logarithmic = picture.logarithmic

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        return [f"{10**tick:.1g}" if self.logarithmic else f"{round(tick, 10):.3g}" for tick in ticks]


class Frame(PlotWidget):
    """A plot that needs no room for labels, only for ticks as wide as "0.0001"."""

    margin_left = reactive(7)
    margin_top = reactive(0)
    margin_bottom = reactive(1)


class Plot(Vertical):
    """One plot below its title."""

    DEFAULT_CSS = """
    Plot { width: 1fr; height: 1fr; }
    Plot > .title { height: 1; padding-left: 7; }
    Plot > Frame { height: 1fr; }
    Frame > .plot--axis { color: #46505b; }
    Frame > .plot--tick { color: $foreground-muted; text-style: none; }
    """

    def __init__(self, picture: Picture) -> None:
        super().__init__()
        self.picture = picture

    def compose(self) -> ComposeResult:
        title = Text(self.picture.title, style="bold").append(f" by {self.picture.unit}", style="not bold dim")
        yield Static(title, classes="title")
        plot = Frame(allow_pan_and_zoom=False)
        plot.can_focus = False
        yield plot

    def on_mount(self) -> None:
        # The plot forgets everything when it mounts, so it is filled afterwards.
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        plot = self.query_one(Frame)
        left, right, bottom, top = limits(self.picture.lines)
        plot.set_x_formatter(Ticks(Picture("", "", ())))
        plot.set_y_formatter(Ticks(self.picture))
        plot.set_xlimits(left, right)
        plot.set_ylimits(bottom, top)
        plot.set_xticks(whole_ticks(left, right))
        for line in self.picture.lines:
            if len(line.x) > 1:
                plot.plot(line.x, line.y, line_style=line.color, hires_mode=HiResMode.BRAILLE)
            else:
                plot.scatter(line.x, line.y, marker="●", marker_style=line.color)


class CurvesPanel(Vertical):
    """The plots side by side below one legend."""

    DEFAULT_CSS = """
    CurvesPanel { padding: 0 1; }
    CurvesPanel > #legend { height: auto; margin-bottom: 1; }
    CurvesPanel > Horizontal { height: 1fr; }
    """

    def __init__(self, record: Record | None, subject: str, baseline: Record | None = None) -> None:
        super().__init__()
        self.record, self.subject, self.baseline = record, subject, baseline

    def compose(self) -> ComposeResult:
        shown = pictures(self.record, self.baseline) if self.record is not None else []
        yield Static(self._legend(shown), id="legend")
        if shown:
            with Horizontal():
                yield from map(Plot, shown)
        else:
            yield Static(Text(missing_curves(self.record)))

    async def show(self, record: Record | None, subject: str, baseline: Record | None) -> None:
        """Another run of the report."""
        self.record, self.subject, self.baseline = record, subject, baseline
        await self.recompose()

    def _legend(self, shown: Sequence[Picture]) -> Text:
        if not shown:
            return Text("no curves were recorded", style="bold")
        parts = [Text(self.subject)] if self.subject else []
        for label, color in dict.fromkeys((line.label, line.color) for p in shown for line in p.lines):
            parts.append(Text("── ", style=color).append(label, style=FOREGROUND))
        needed = sum(part.cell_len for part in parts) + ROOMY_GAP * (len(parts) - 1)
        text = Text(" " * (ROOMY_GAP if needed <= NARROWEST else 2)).join(parts)
        gaps = broken(shown)
        return text.append(f"\n{gaps}", style=RED) if gaps else text


def whole_ticks(left: float, right: float) -> list[float]:
    """Epochs and steps are whole: 1, 2 or 5 times a power of ten apart.

    >>> whole_ticks(0.0, 29.0)
    [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]
    >>> whole_ticks(0.0, 1.0)
    [0.0, 1.0]
    """
    power = 1
    while True:
        for factor in (1, 2, 5):
            gap = factor * power
            first = -(-int(left) // gap) * gap
            ticks = [float(tick) for tick in range(first, int(right) + 1, gap)]
            if len(ticks) <= MOST_TICKS:
                return ticks
        power *= 10


def missing_curves(record: Record | None) -> str:
    """Why there is nothing to draw: that is not the same as nothing being wrong."""
    if record is None:
        return "The store holds no record of this session's runs."
    if not record.last_step and not record.epochs_seen:
        return "The run ended before its first optimizer step."
    return "No loss was seen: pass loss_fn= to advisor.watch, or wrap your own with advisor.loss."
