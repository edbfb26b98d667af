"""A diagnosis -> styled blocks: each finding with its numbers beside the thresholds, notes, and what was asked."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from advisor.diagnosis import Diagnosis
from advisor.finding import Finding
from advisor.report.heading import not_seen
from advisor.report.wording import clean, names

INDENT = 3  # as wide as the number of a finding and its gap
LABEL = 13  # the longest label is "with the plan"
SURE = 0.8  # from here on a confidence is drawn in red: a convention, colour only


def diagnosis_blocks(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    """Everything a diagnosis says, first cause first. Blank lines between blocks."""
    yield from verdict_blocks(diagnosis)
    for number, finding in enumerate(diagnosis.findings, start=1):
        yield from finding_block(finding, number, diagnosis)
        yield Text()
    for note in diagnosis.notes:
        yield from finding_block(note, None, diagnosis)
        yield Text()
    yield from asked(diagnosis)


def verdict_blocks(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    """`healthy` and `not enough evidence`, which are outcomes like any other; nothing where there are findings."""
    if diagnosis.status == "healthy":
        yield Text("healthy", style="bold green").append("   no rule found a problem", style="not bold default")
    elif diagnosis.status == "not_enough_evidence":
        yield Text("not enough evidence", style="bold yellow").append(
            "   to call this run healthy or faulty", style="not bold default"
        )
    else:
        return
    if diagnosis.reason:
        yield indented(Text(clean(diagnosis.reason)))
    yield Text()


def title(finding: Finding, number: int | None) -> RenderableType:
    """Number, rule, and the confidence at the right edge."""
    return _ends(
        Text(f"{'–' if number is None else number:<{INDENT}}{clean(finding.rule)}", style="bold"), confidence(finding)
    )


def confidence(finding: Finding) -> Text:
    """How sure the rule is; a note says that it is one."""
    if finding.severity == "note":
        return Text(f"note, confidence {finding.confidence:.2f}", style="dim")
    return Text(f"confidence {finding.confidence:.2f}", style="red" if finding.confidence >= SURE else "yellow")


def finding_block(finding: Finding, number: int | None, diagnosis: Diagnosis | None) -> Iterator[RenderableType]:
    """A finding in full; one that another explains says so and keeps to its sentence."""
    yield title(finding, number)
    yield indented(Text(clean(finding.message)))
    if finding.explained_by:
        yield indented(label("explained by", clean(finding.explained_by)))
        return
    yield from details(finding, diagnosis)


def details(finding: Finding, diagnosis: Diagnosis | None) -> Iterator[RenderableType]:
    """What stands below a finding's sentence."""
    for one in finding.numbers:
        limit = "" if one.threshold is None else f"threshold {threshold(one.threshold)}"
        yield indented(_ends(Text(clean(one.text)), Text(limit, style="dim")))
    if finding.since is not None:
        unit = "step" if f"step {finding.since}" in finding.message else "epoch"
        yield indented(label("since", f"{unit} {finding.since}"))
    if finding.raised is not None:
        yield indented(label("raised", f"in epoch {finding.raised}, while it ran"))
    if finding.layers:
        yield indented(label("layers", names(finding.layers)))
    if finding.confirmed_by:
        yield indented(label("confirmed by", names(finding.confirmed_by)))
    for line in finding.supported_by:
        yield indented(label("in the source", clean(line)))
    symptoms = [f.rule for f in diagnosis.findings if f.explained_by == finding.rule] if diagnosis else []
    if symptoms:
        yield indented(label("explains", names(symptoms)))
    if finding.first_step:
        yield indented(label("do first", clean(finding.first_step), "cyan"))


def threshold(value: float) -> str:
    """As its author wrote it: four digits are more than any rule has."""
    return f"{value:.4g}".replace("-", "−", 1) if value < 0 else f"{value:.4g}"


def asked(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    """ "58 rules: 2 fired, 51 clear, 5 not applicable (not seen: dead_units)", what cannot be known; what crashed."""
    missing = not_seen([lack for _, lack in diagnosis.not_applicable])
    yield Text(diagnosis.counts + (f" (not seen: {missing})" if missing else ""), style="dim")
    if diagnosis.unknown:
        yield Text(clean(diagnosis.unknown), style="yellow")
    for rule, error in diagnosis.crashed:
        yield Text(f"crashed: {clean(rule)}: {clean(error)}", style="yellow")


def undiagnosed() -> Text:
    return Text("no diagnosis   the rules are asked when the loop ends", style="yellow")


def label(name: str, text: str, style: str = "") -> Table:
    """A name and what it says, which wraps below itself."""
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=LABEL)
    line.add_column()
    line.add_row(Text(name, style="dim"), Text(text, style=style))
    return line


def _ends(left: Text, right: Text) -> Table:
    """One text at the left edge and one at the right."""
    line = Table.grid(expand=True, padding=(0, 2, 0, 0), pad_edge=False)
    line.add_column(ratio=1)
    line.add_column(justify="right", no_wrap=True)
    line.add_row(left, right)
    return line


def indented(block: RenderableType) -> Padding:
    return Padding(block, (0, 0, 0, INDENT))
