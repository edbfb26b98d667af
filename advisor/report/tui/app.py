"""A report -> a screen with four panels: findings, curves, layers, trials. It reads the report and changes nothing."""

from __future__ import annotations

from typing import ClassVar

from rich.console import Group
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static, TabbedContent, TabPane, Tabs

from advisor.record import Record
from advisor.report import Report, RunReport
from advisor.report.closing import outcome
from advisor.report.heading import run_heading, session_heading
from advisor.report.pages import rule_page
from advisor.report.tui.curves import CurvesPanel
from advisor.report.tui.findings import FindingsPanel, Page
from advisor.report.tui.layers import LayersPanel
from advisor.report.tui.palette import ANSI, THEME, YELLOW
from advisor.report.tui.trials import TrialsPanel
from advisor.report.wording import script

PANELS = ("findings", "curves", "layers", "trials")
SCROLLS: dict[str, type[FindingsPanel] | type[TrialsPanel]] = {"findings": FindingsPanel, "trials": TrialsPanel}
HEADING_LINES = 4  # of 24: a heading with an error and a problem still leaves room for a panel


class ReportApp(App[None]):
    """The report's screen.

    panel: the one that is shown first
    page:  rule -> its page in Markdown
    """

    TITLE = "advisor"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None  # a focus in a panel that is not shown would turn to it
    CSS = """
    Screen { background: $background; }
    #heading { height: auto; padding: 0 1; margin-bottom: 1; }
    TabbedContent { height: 1fr; }
    TabPane { padding: 0; }
    ContentSwitcher { height: 1fr; }
    #keys { height: 1; padding: 0 1; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "quit", priority=True),
        Binding("tab", "turn(1)", priority=True),
        Binding("shift+tab", "turn(-1)", priority=True),
        *(Binding(str(n), f"show('{name}')") for n, name in enumerate(PANELS, start=1)),
        Binding("pagedown,space", "scroll(1)", priority=True),
        Binding("pageup,b", "scroll(-1)", priority=True),
        Binding("s", "switch"),
        Binding("r", "next_run"),
    ]

    def __init__(self, report: Report, *, panel: str = "findings", page: Page = rule_page) -> None:
        super().__init__()
        self.report, self.first, self.page = report, panel, page
        self.runs = runs(report)
        self.at = 0

    def compose(self) -> ComposeResult:
        record, subject, baseline = self._shown()
        session = None if isinstance(self.report, RunReport) else self.report.session
        yield Static(heading(self.report), id="heading")
        with TabbedContent(initial=self.first):
            with TabPane("1 Findings", id="findings"):
                yield FindingsPanel(self.report.diagnosis, session.after if session else None, self.page)
            with TabPane("2 Curves", id="curves"):
                yield CurvesPanel(record, subject, baseline)
            with TabPane("3 Layers", id="layers"):
                yield LayersPanel(record, subject)
            with TabPane("4 Trials", id="trials"):
                yield TrialsPanel(session, script(record.info) if record else "")
        yield Static(id="keys")

    def on_mount(self) -> None:
        self.register_theme(THEME)
        self.theme = THEME.name
        self.ansi_theme_dark = ANSI
        self.query_one(Tabs).can_focus = False

    def on_tabbed_content_tab_activated(self) -> None:
        """The arrows belong to the panel that is shown."""
        pane = self.query_one(TabbedContent).active_pane
        rows = list(pane.query("OptionList, DataTable")) if pane is not None else []
        for widget in rows or (pane.query("LayersPanel > VerticalScroll") if pane is not None else ()):
            widget.focus()
        text = keys(self.query_one(TabbedContent).active, chooses=bool(rows), runs=len(self.runs))
        self.query_one("#keys", Static).update(text)

    def action_show(self, panel: str) -> None:
        self.query_one(TabbedContent).active = panel

    def action_turn(self, by: int) -> None:
        tabs = self.query_one(TabbedContent)
        tabs.active = PANELS[(PANELS.index(tabs.active) + by) % len(PANELS)]

    def action_scroll(self, pages: int) -> None:
        active = self.query_one(TabbedContent).active
        if active in SCROLLS:
            self.query_one(SCROLLS[active]).scroll(pages)

    def action_switch(self) -> None:
        self.query_one(LayersPanel).switch()

    async def action_next_run(self) -> None:
        self.at = (self.at + 1) % len(self.runs)
        record, subject, baseline = self._shown()
        self.query_one(LayersPanel).show(record, subject)
        await self.query_one(CurvesPanel).show(record, subject, baseline)

    def _shown(self) -> tuple[Record | None, str, Record | None]:
        return self.runs[self.at] if self.runs else (None, "", None)


def runs(report: Report) -> list[tuple[Record | None, str, Record | None]]:
    """The runs to page through: record, what it is, and the baseline's run on the same seed.

    With a plan accepted its first run comes first: that is what the reader wants to see.
    """
    if isinstance(report, RunReport):
        return [(report.record, "", None)]
    same = {record.info.seed: record for record in reversed(report.baseline)}
    first = report.baseline[0] if report.baseline else None
    accepted = [(x, f"with the plan, {_seed(x)}", same.get(x.info.seed, first)) for x in report.accepted]
    return [*accepted, *((record, f"baseline, {_seed(record)}", None) for record in report.baseline)]


def heading(report: Report) -> Group:
    """A few lines that stay on top of every panel."""
    if isinstance(report, RunReport):
        lines = run_heading(report.record)
    else:
        lines = [*session_heading(report), outcome(report.session)]
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(*lines[:HEADING_LINES])


def keys(panel: str, *, chooses: bool, runs: int) -> Text:
    """The last line: the keys that do something on this panel.

    chooses: whether the panel has rows to choose from; runs: how many there are to page through
    """
    offered = [("q", "quit"), ("tab 1–4", "panel")]
    offered += [("↑↓", "choose")] if chooses else []
    offered += [("space b", "scroll")] if panel in SCROLLS and (chooses or panel == "findings") else []
    offered += [("s", "update ratio / gradient"), ("↑↓", "scroll")] if panel == "layers" else []
    offered += [("r", "next run")] if panel in ("curves", "layers") and runs > 1 else []
    text = Text(no_wrap=True, overflow="ellipsis")
    for key, action in offered:
        text.append(key, style=f"bold {YELLOW}").append(f" {action}   ")
    return text


def _seed(record: Record) -> str:
    return f"run {record.info.id}" if record.info.seed is None else f"seed {record.info.seed}"
