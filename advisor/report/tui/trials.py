"""The trials panel: the table of everything that `advisor fix` tried; the chosen row in full below it."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.events import Resize
from textual.widgets import DataTable, Static

from advisor.report.closing import session_closing, trial_details
from advisor.report.rows import Row, rows
from advisor.report.wording import clean
from advisor.session import FixSession

# Widths of what stands in the columns: "0.893 ± 0.009", "no difference". The plan gets what is left.
WIDTHS = {"#": 2, "seeds": 5, "score": 13, "gain": 6, "p": 5, "cost": 5, "verdict": 13}
NARROWEST = 10  # of the plan's column
ROOMY = 100  # columns from which there is room for the number of seeds, which the chosen row tells in any case


class TrialsPanel(Vertical):
    """A row a trial, also what hurt and what made no difference."""

    DEFAULT_CSS = """
    TrialsPanel > DataTable { height: 1fr; background: $background; scrollbar-size-vertical: 1; }
    TrialsPanel > DataTable:focus { background-tint: $background 0%; }
    TrialsPanel > DataTable > .datatable--header { background: $background; color: $foreground-muted; }
    TrialsPanel > DataTable > .datatable--even-row { background: $background; }
    TrialsPanel > DataTable > .datatable--odd-row { background: $background; }
    TrialsPanel > VerticalScroll {
        height: auto; max-height: 50%; padding: 0 1; border-top: solid $border; scrollbar-size-vertical: 1;
    }
    TrialsPanel > .empty { padding: 0 1; }
    """

    def __init__(self, session: FixSession | None, script: str) -> None:
        super().__init__()
        self.session = session
        self.script = script or "train.py"
        self.rows = rows(session) if session is not None else []

    def compose(self) -> ComposeResult:
        if not self.rows or self.session is None:
            yield Static(self._missing(), classes="empty")
            return
        yield DataTable(cursor_type="row", cell_padding=0)
        with VerticalScroll(can_focus=False):
            yield Static(id="trial")

    def on_resize(self, event: Resize) -> None:
        if self.rows and self.session is not None and event.size.width:
            self._fill(self.query_one(DataTable), self.session.metric, event.size.width)

    def scroll(self, pages: int) -> None:
        """Move the chosen row's details by whole pages."""
        for below in self.query(VerticalScroll):
            below.scroll_relative(y=pages * max(below.size.height - 1, 1), animate=False)

    @on(DataTable.RowHighlighted)
    def _show(self, event: DataTable.RowHighlighted) -> None:
        if self.session is None or not 0 <= event.cursor_row < len(self.rows):
            return
        blocks = list(trial_details(self.rows[event.cursor_row].trial, self.session.metric))
        self.query_one("#trial", Static).update(Group(*blocks))

    def _fill(self, table: DataTable[Text], metric: str, width: int) -> None:
        chosen = table.cursor_row
        table.clear(columns=True)
        gap = 2 if width >= ROOMY else 1
        names = [name for name in ("#", "plan", *WIDTHS) if name != "seeds" or width >= ROOMY]
        names = list(dict.fromkeys(names))
        others = sum(WIDTHS.get(name, 0) + gap for name in names) + 1  # 1: the scrollbar
        widths = {"plan": max(width - others, NARROWEST), **WIDTHS}
        for name in names:
            title = clean(metric) if name == "score" else name
            table.add_column(_fit(Text(title), widths[name], name), width=widths[name] + gap)
        for row in self.rows:
            table.add_row(*(_fit(cell, widths[name], name) for name, cell in _cells(row).items() if name in names))
        table.move_cursor(row=chosen)

    def _missing(self) -> RenderableType:
        if self.session is None:
            text = "No trials: this is one run, not a session of `advisor fix`.\nTo try remedies on it: "
            return Text(text).append(f"advisor fix {self.script}", style="cyan")
        if self.session.status == "running":
            return Text("No trial has ended yet.")
        return Group(Text("No trials were run."), *session_closing(self.session))


def _cells(row: Row) -> dict[str, Text]:
    plain = {"#": row.number, "plan": row.plan, "seeds": row.seeds, "score": row.score}
    plain |= {"gain": row.gain, "p": row.p, "cost": row.cost}
    return {name: Text(text) for name, text in plain.items()} | {"verdict": Text(row.verdict, style=row.style)}


def _fit(cell: Text, width: int, name: str) -> Text:
    """Cut or padded to the column's width; numbers to the right."""
    cell.truncate(width, overflow="ellipsis")
    if name in ("seeds", "gain", "p", "cost", "#"):
        cell.pad_left(width - cell.cell_len)
    return cell
