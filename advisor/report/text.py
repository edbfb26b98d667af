"""A report -> plain text for a terminal, a log or a pull request; and the summary that `watch` prints when a run ends.

Nothing from a record is ever read as markup: layer names, messages and errors print as they are, on one line, without
control characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import StringIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from advisor.diagnosis import Diagnosis
from advisor.record import Record
from advisor.report import Report, RunReport, SessionReport
from advisor.report.closing import next_steps, session_closing, session_plan
from advisor.report.findings import asked, diagnosis_blocks, indented, title, undiagnosed, verdict_blocks
from advisor.report.heading import run_heading, session_heading
from advisor.report.rows import rows
from advisor.report.wording import clean, script

WIDTH = 100  # columns: the whole table of trials on one line each
SCREEN = 80, 24  # columns and lines of the terminal that every program may count on
NARROW = 13  # columns of a verdict where room is short, so that a plan's words are seldom broken: "helped ◀ kept"
ROOMY = 90  # columns from which the table can afford two spaces between columns
MESSAGE_LINES = 3  # of a finding in the summary: what two sentences need


def render_text(report: Report, width: int = WIDTH, *, color: bool = False) -> str:
    """The whole report. color: with ANSI colours, for a terminal."""
    blocks = _run(report) if isinstance(report, RunReport) else _session(report)
    return "\n".join(_lines(blocks, width, color=color)) + "\n"


def summary(
    record: Record,
    diagnosis: Diagnosis | None,
    width: int = SCREEN[0],
    height: int = SCREEN[1],
    *,
    color: bool = False,
) -> str:
    """The end of a run on one screen: at most `height` lines of at most `width` columns.

    As many findings as fit, the first cause first; the rest are counted, and `advisor report` shows them.
    """
    top = _lines(run_heading(record), width, color=color)[: height // 2]
    bottom = _lines(_below(record, diagnosis), width, color=color)
    room = height - len(top) - len(bottom) - 1  # a blank line below the heading
    middle: list[str] = []
    if diagnosis is not None:
        middle = _lines(verdict_blocks(diagnosis), width, color=color)
        found = [*diagnosis.findings, *diagnosis.notes]
        for number, finding in enumerate(found, start=1):
            numbered = number if finding.severity == "problem" else None
            block = _lines([title(finding, numbered)], width, color=color)
            block += _lines([indented(Text(clean(finding.message)))], width, color=color)[:MESSAGE_LINES]
            if finding.first_step and not finding.explained_by:
                block += _lines([indented(Text(f"→ {clean(finding.first_step)}", style="cyan"))], width, color=color)
            rest = len(found) - number
            if len(middle) + len(block) + (1 if rest else 0) > room:
                middle += _lines([Text(f"and {rest + 1} more: advisor report", style="dim")], width, color=color)
                break
            middle += block
    return "\n".join([*top, "", *middle[: max(room, 0)], *bottom][:height])


def _below(record: Record, diagnosis: Diagnosis | None) -> Iterator[RenderableType]:
    if diagnosis is None:
        yield undiagnosed()
    else:
        yield from list(asked(diagnosis))[:MESSAGE_LINES]
    yield from next_steps(diagnosis, script(record.info))


def _run(report: RunReport) -> Iterator[RenderableType]:
    yield from run_heading(report.record)
    yield Text()
    yield from _diagnosis(report.diagnosis)
    yield Text()
    yield from next_steps(report.diagnosis, script(report.record.info))


def _session(report: SessionReport) -> Iterator[RenderableType]:
    yield from session_heading(report)
    yield Text()
    yield from _diagnosis(report.diagnosis)
    yield Text()
    yield _table(report)
    yield from session_closing(report.session)
    yield Text()
    yield from session_plan(report.session)


def _diagnosis(diagnosis: Diagnosis | None) -> Iterator[RenderableType]:
    if diagnosis is None:
        yield undiagnosed()
    else:
        yield from diagnosis_blocks(diagnosis)


class _Trials:
    """The table of trials, which closes up on a narrow terminal."""

    def __init__(self, report: SessionReport) -> None:
        self.report = report

    def __rich_console__(self, console: Console, options: object) -> Iterator[RenderableType]:
        gap = 2 if console.width >= ROOMY else 1
        table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim", expand=False)
        table.add_column("trial", justify="right")
        table.add_column("plan", overflow="fold", min_width=12)
        table.add_column("seeds", justify="right")
        table.add_column(clean(self.report.session.metric), no_wrap=True)
        for name in ("gain", "p", "cost"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("verdict", overflow="fold", max_width=None if console.width >= ROOMY else NARROW)
        for row in rows(self.report.session):
            verdict = Text(row.verdict, style=row.style)
            if row.note:
                verdict.append(f", {row.note}", style="not bold default")
            cells = (row.number, row.plan, row.seeds, row.score, row.gain, row.p, row.cost)
            table.add_row(*map(Text, cells), verdict)
        yield table


def _table(report: SessionReport) -> RenderableType:
    if not rows(report.session):
        under_way = report.session.status == "running"
        return Text("no trial has ended" if under_way else "nothing was tried", style="yellow")
    return _Trials(report)


def _lines(blocks: Iterable[RenderableType], width: int, *, color: bool) -> list[str]:
    """Blocks -> lines of at most `width` columns."""
    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
    )
    lines = []
    for block in blocks:
        with console.capture() as captured:
            console.print(block)
        lines += [line.rstrip() for line in captured.get().removesuffix("\n").split("\n")]
    return lines
