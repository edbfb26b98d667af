"""A report -> the text on its screen, at two sizes, with a page of every rule that is always the same."""

from __future__ import annotations

from collections.abc import Sequence

from screens import screen

from advisor.report import Report
from advisor.report.tui import svg_of

SMALL, LARGE = (80, 24), (120, 40)

PAGE = """Training loss falls while validation loss rises.

## What it does

Compares the last validation loss with the best one.

## Why it hurts

The model learns the training samples, not what they have in common.
"""


def page(_: str) -> str:
    return PAGE


def show(report: Report, panel: str = "findings", size: tuple[int, int] = SMALL, keys: Sequence[str] = ()) -> str:
    """The text on the screen."""
    return "\n".join(screen(svg_of(report, size, panel=panel, keys=keys, page=page)))
