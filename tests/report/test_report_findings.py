"""Below a finding: when the live screen said it, and which lines of the script speak for it."""

from __future__ import annotations

from rich.console import Console, Group

from advisor.finding import Finding
from advisor.report.findings import details


def shown(**more: object) -> str:
    """The details as text."""
    finding = Finding.model_validate({"message": "It is 1.", "numbers": (), "confidence": 0.9, **more})
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(Group(*details(finding, None)))
    return " ".join(capture.get().split())


def test_what_the_source_and_the_screen_said() -> None:
    """One line each, where there is something to say."""
    assert shown(raised=4, supported_by=("line 12: backward()",)) == (
        "raised in epoch 4, while it ran in the source line 12: backward()"
    )
    assert shown() == ""
