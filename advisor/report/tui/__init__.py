"""A report -> a screen in the terminal, or a picture of it (Textual). Nothing else in advisor imports Textual.

run_tui(load_report(store))                    # until the user quits
svg_of(report, (120, 40), panel="curves")      # for a README
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from advisor.report import Report
from advisor.report.pages import rule_page
from advisor.report.tui.app import PANELS, ReportApp
from advisor.report.tui.findings import Page

__all__ = ["PANELS", "ReportApp", "run_tui", "svg_of"]


def run_tui(report: Report) -> None:
    """Show the report until the user quits."""
    ReportApp(report).run()


def svg_of(
    report: Report,
    size: tuple[int, int] = (80, 24),
    *,
    panel: str = "findings",
    keys: Sequence[str] = (),
    page: Page = rule_page,
) -> str:
    """A picture of the screen as SVG.

    size: columns, lines
    keys: pressed before the picture is taken
    """
    return asyncio.run(_picture(ReportApp(report, panel=panel, page=page), size, keys))


async def _picture(app: ReportApp, size: tuple[int, int], keys: Sequence[str]) -> str:
    app.animation_level = "none"  # a picture shows where things come to rest
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        if keys:
            await pilot.press(*keys)
        await pilot.pause()  # what was just shown is laid out,
        await pilot.pause()  # and the plots, which wait for that, are filled
        return _alone(app.export_screenshot())


def _alone(svg: str) -> str:
    """The same picture with fixed ids and without fonts from the network: equal screens give equal files."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return re.sub(r"terminal-\d+-", "advisor-", svg)
