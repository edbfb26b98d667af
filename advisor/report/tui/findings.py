"""The findings panel: a list on the left; the chosen finding, its numbers and its rule's page on the right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Markdown, OptionList, Static
from textual.widgets.option_list import Option

from advisor.diagnosis import Diagnosis
from advisor.finding import Finding
from advisor.report.findings import SURE, asked, finding_block, label, undiagnosed, verdict_blocks
from advisor.report.tui.palette import GREEN, RED, YELLOW
from advisor.report.wording import clean

Page = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the list and what it shows. rule: whose page goes below; "" for none."""

    prompt: Text
    blocks: tuple[RenderableType, ...]
    rule: str = ""


class FindingsPanel(Horizontal):
    """What a diagnosis says, one item at a time.

    after: the diagnosis with the accepted plan, of a fix session
    page:  rule -> its page in Markdown
    """

    DEFAULT_CSS = """
    FindingsPanel > OptionList {
        width: 32%; max-width: 40; height: 1fr; border: none; padding: 0 1; background: $background;
        border-right: solid $border; scrollbar-size-vertical: 1;
    }
    FindingsPanel > OptionList:focus { border: none; border-right: solid $border; background-tint: $background 0%; }
    FindingsPanel > VerticalScroll { width: 1fr; height: 1fr; padding: 0 1 0 2; scrollbar-size-vertical: 1; }
    FindingsPanel Markdown { padding: 0; margin: 1 0 0 0; background: $background; }
    FindingsPanel MarkdownH2 { color: $foreground; text-style: bold; margin: 1 0 0 0; content-align: left top; }
    FindingsPanel MarkdownParagraph { margin: 0 0 1 0; color: $foreground-muted; }
    """

    def __init__(self, diagnosis: Diagnosis | None, after: Diagnosis | None, page: Page) -> None:
        super().__init__()
        self.items = list(items(diagnosis, after))
        self.page = page

    def compose(self) -> ComposeResult:
        yield OptionList(*(Option(item.prompt) for item in self.items))
        with VerticalScroll(can_focus=False):
            yield Static(id="finding")
            yield Markdown(id="page")

    def on_mount(self) -> None:
        self.query_one(OptionList).highlighted = 0

    @on(OptionList.OptionHighlighted)
    async def _show(self, event: OptionList.OptionHighlighted) -> None:
        item = self.items[event.option_index]
        self.query_one("#finding", Static).update(Group(*item.blocks))
        page = self.page(item.rule) if item.rule else None
        markdown = self.query_one(Markdown)
        markdown.display = page is not None
        await markdown.update(page or "")
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def scroll(self, pages: int) -> None:
        """Move the right side by whole pages."""
        right = self.query_one(VerticalScroll)
        right.scroll_relative(y=pages * max(right.size.height - 2, 1), animate=False)


def items(diagnosis: Diagnosis | None, after: Diagnosis | None) -> Iterator[Item]:
    """The outcome where nothing fired, each finding, each note, what the plan left, and what was asked."""
    if diagnosis is None:
        yield Item(Text("no diagnosis", style=YELLOW), (undiagnosed(),))
        return
    if diagnosis.status != "problems":
        style = GREEN if diagnosis.status == "healthy" else YELLOW
        yield Item(Text(diagnosis.status.replace("_", " "), style=f"bold {style}"), tuple(verdict_blocks(diagnosis)))
    for number, finding in enumerate(diagnosis.findings, start=1):
        blocks = tuple(finding_block(finding, number, diagnosis))
        yield Item(_prompt(finding, f"{number}"), blocks, finding.rule)
    for note in diagnosis.notes:
        yield Item(_prompt(note, "–"), tuple(finding_block(note, None, diagnosis)), note.rule)
    if after is not None:
        yield Item(Text("with the plan"), tuple(_after(after)))
    yield Item(Text("what was asked", style="dim"), tuple(_asked(diagnosis)))


def _prompt(finding: Finding, mark: str) -> Text:
    cause = finding.severity == "problem" and not finding.explained_by
    style = "dim" if not cause else RED if finding.confidence >= SURE else YELLOW
    text = Text(f"{mark} ", style=style, no_wrap=True, overflow="ellipsis")
    return text.append(clean(finding.rule), style="not dim default" + (" bold" if cause else ""))


def _after(after: Diagnosis) -> Iterator[RenderableType]:
    yield Text("What the rules say of a run with the accepted plan.", style="dim")
    yield Text()
    yield from verdict_blocks(after)
    for number, finding in enumerate(after.findings, start=1):
        yield from finding_block(finding, number, after)
        yield Text()
    yield from asked(after)


def _asked(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    yield from asked(diagnosis)
    yield Text()
    for rule, missing in diagnosis.not_applicable:
        yield label("not asked", f"{clean(rule)}: {clean(missing)} was not seen")
    for rule in diagnosis.clear:
        yield label("clear", clean(rule))
