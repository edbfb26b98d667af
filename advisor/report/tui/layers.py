"""The layers panel: how much each layer moves, over time, as a heat map."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.events import Resize
from textual.widgets import Static

from advisor.record import Record, Series
from advisor.report.tui.heatmap import drawn, legend
from advisor.report.wording import names

QUANTITIES = {
    "update_ratio": "‖Δw‖ / ‖w‖ of one optimizer step",
    "grad_norm": "norm of the gradient",
}
SCROLLBAR = 1


class LayersPanel(Vertical):
    """Layers as rows in the model's order, time as columns."""

    DEFAULT_CSS = """
    LayersPanel { padding: 0 1; }
    LayersPanel > #what { height: 1; }
    LayersPanel > VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; }
    LayersPanel > #legend { height: 1; margin-bottom: 1; }
    """

    def __init__(self, record: Record | None, subject: str) -> None:
        super().__init__()
        self.record, self.subject = record, subject
        self.quantity = next(iter(self._there()), "")

    def compose(self) -> ComposeResult:
        yield Static(id="what")
        yield Static(id="legend")
        with VerticalScroll():
            yield Static(id="map")

    def on_resize(self, _: Resize) -> None:
        self._draw()

    def show(self, record: Record | None, subject: str) -> None:
        """Another run of the report."""
        self.record, self.subject = record, subject
        if self.quantity not in self._there():
            self.quantity = next(iter(self._there()), "")
        self._draw()

    def switch(self) -> None:
        """The next quantity that was recorded."""
        there = self._there()
        if there:
            self.quantity = there[(there.index(self.quantity) + 1) % len(there)]
            self._draw()

    def _there(self) -> list[str]:
        return [name for name in QUANTITIES if self._series(name) is not None]

    def _series(self, name: str) -> Series | None:
        series = self.record.series.get(name) if self.record is not None else None
        return series if series is not None and series.values.size else None

    def _labels(self, series: Series) -> list[str]:
        """A layer of an nn.Sequential is named by a number: its class says more."""
        kinds = {layer.name: layer.kind for layer in self.record.info.layers} if self.record is not None else {}
        numbered = {name: f"{name} {kind}" for name, kind in kinds.items() if name.rpartition(".")[2].isdigit()}
        return [numbered.get(name, name) for name in series.axis]

    def _draw(self) -> None:
        what, picture, scale = (self.query_one(f"#{name}", Static) for name in ("what", "map", "legend"))
        series = self._series(self.quantity)
        if series is None:
            what.update(Text("no layers were recorded", style="bold"))
            picture.update(Text(missing_layers(self.record)))
            scale.update("")
            return
        width = self.size.width - 2 - SCROLLBAR  # the panel's padding
        if width <= 0:
            return
        line = Text(self.quantity, style="bold").append(f"   {QUANTITIES[self.quantity]}", style="not bold dim")
        what.update(line.append(f"   {self.subject}" if self.subject else "", style="not bold"))
        picture.update(drawn(series, width, self._labels(series)))
        scale.update(legend(series))


def missing_layers(record: Record | None) -> str:
    """Why there is no map: that is not the same as a map without anything wrong."""
    if record is None:
        return "The store holds no record of this session's runs."
    wanted = names(list(QUANTITIES))
    if record.problems:
        return f"Neither of {wanted} is in the record; inside advisor: {names(record.problems, most=1)}"
    if not record.last_step:
        return f"Neither of {wanted} is in the record: the run ended before its first optimizer step."
    return f"Neither of {wanted} is in the record: pass the model and the optimizer to advisor.watch."
