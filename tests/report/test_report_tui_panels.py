"""The panels of the screens: pictures at two sizes, and what each key turns to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from built import info, run_report, session, session_report
from rich.cells import cell_len
from screens import check_snapshot
from shown import LARGE, SMALL, page, show
from textual.widgets import TabbedContent

from advisor.record import Record
from advisor.report import Report, SessionReport
from advisor.report.tui import PANELS, ReportApp, svg_of
from advisor.report.tui.app import runs

# -------------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize(
    ("name", "report", "panel", "size"),
    [
        ("run-findings-80x24", run_report(), "findings", SMALL),
        ("run-curves-80x24", run_report(), "curves", SMALL),
        ("run-layers-120x40", run_report(), "layers", LARGE),
        ("session-trials-80x24", session_report(), "trials", SMALL),
        ("session-findings-120x40", session_report(), "findings", LARGE),
    ],
)
def test_pictures(name: str, report: Report, panel: str, size: tuple[int, int], tmp_path: Path) -> None:
    """Each panel looks as it did when somebody last looked at it."""
    check_snapshot(name, svg_of(report, size, panel=panel, page=page), tmp_path)


def test_a_picture_needs_nothing_from_the_network() -> None:
    """It can stand in a README: no font is loaded from elsewhere, and its ids do not change."""
    svg = svg_of(run_report(), page=page)
    assert "url(http" not in svg
    assert "terminal-" not in svg
    assert svg == svg_of(run_report(), page=page)


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_fits(panel: str, size: tuple[int, int]) -> None:
    """The heading stands on top and the keys at the bottom, at either size."""
    lines = show(session_report(), panel, size).splitlines()
    assert size[1] == len(lines)
    assert lines[0].startswith(" train.py  fix session 4  finished")
    assert lines[2] == " 0.800 → 0.880 on seeds that chose nothing (p 0.031)"
    assert lines[-1].startswith(" q quit   tab 1–4 panel")
    assert max(map(cell_len, lines)) <= size[0]


# ------------------------------------------------------------------------------------------------------------ keys


def test_keys_turn_to_panels_and_quit() -> None:
    """Numbers and tab choose a panel; q ends the app."""

    async def drive() -> list[str]:
        app = ReportApp(run_report(), page=page)
        seen = []
        async with app.run_test(size=SMALL) as pilot:
            for key in ("3", "tab", "tab", "shift+tab", "2"):
                await pilot.press(key)
                await pilot.pause()
                seen.append(app.query_one(TabbedContent).active)
            await pilot.press("q")
            await pilot.pause()
            seen.append("running" if app.is_running and app.return_code is None else "ended")
        return seen

    assert ["layers", "trials", "findings", "trials", "curves", "ended"] == asyncio.run(drive())


def test_arrows_choose_a_finding() -> None:
    """The right side shows the chosen one; a symptom names its cause."""
    assert "Training loss keeps falling" in show(run_report())
    assert "explained by   overfitting" in show(run_report(), keys=["down"])
    assert "The loader takes 31 % of the time." in show(run_report(), keys=["down", "down"])
    assert "8 rules: 3 fired, 3 clear, 2 not applicable" in show(run_report(), keys=["end"], size=LARGE)
    assert "dead_units: dead_units was not seen" in show(run_report(), keys=["end"], size=LARGE)


def test_space_scrolls_to_the_rules_page() -> None:
    """The page of the finding's rule stands below its numbers."""
    assert "they have in common." not in show(run_report())
    assert "they have in common." in show(run_report(), keys=["space"])


def test_s_switches_the_quantity() -> None:
    """Update ratio, gradient norm, and back."""
    assert "‖Δw‖ / ‖w‖ of one optimizer step" in show(run_report(), "layers")
    assert "norm of the gradient" in show(run_report(), "layers", keys=["s"])
    assert show(run_report(), "layers") == show(run_report(), "layers", keys=["s", "s"])


def test_r_shows_the_other_runs_of_a_session() -> None:
    """The accepted plan's run first, beside the baseline; then the baseline's own."""
    assert "with the plan, run 2   ── baseline   ── train   ── clean train   ── validation" in show(
        session_report(), "curves"
    )
    turned = show(session_report(), "curves", keys=["r"])
    assert "baseline, run 1   ── train   ── clean train   ── validation\n" in turned
    assert "baseline, run 1" in show(session_report(), "layers", keys=["r"])
    assert "r next run" not in show(run_report(), "curves")


def test_a_run_is_compared_with_the_baseline_on_its_own_seed() -> None:
    """The baseline's first run, which chose what to try, has another seed."""

    def on(seed: int, number: int) -> Record:
        return Record(info(number).model_copy(update={"seed": seed}))

    report = SessionReport(session(), baseline=(on(0, 1), on(1, 2), on(2, 3)), accepted=(on(1, 4), on(2, 5), on(7, 6)))
    found = [(record.info.id, base.info.id if base else None) for record, _, base in runs(report) if record]
    assert [(4, 2), (5, 3), (6, 1), (1, None), (2, None), (3, None)] == found


def test_choosing_a_trial_shows_it_in_full() -> None:
    """The whole plan, what it was compared with, each seed, the note."""
    text = show(session_report(), "trials", LARGE, keys=["down"])
    assert "augmentation(degrees=10) + dropout(rate=0.5)   screen, against augmentation(degrees=10)" in text
    assert "seed 0   val_accuracy 0.780 → 0.730" in text
    assert "note           stopped at epoch 11" in text


def test_space_scrolls_a_trials_details() -> None:
    """On the smallest terminal the last seed of five does not fit; the keys say how to come to it."""
    asked = {keys: show(session_report(), "trials", keys=keys) for keys in ((), ("space",), ("space", "b"))}
    assert [True, False, True] == ["verdict        helped" in shown for shown in asked.values()]
    assert [False, True, False] == ["seed 4" in shown for shown in asked.values()]
    assert all("space b scroll" in shown for shown in asked.values())
    assert "space b scroll" not in show(run_report(), "trials")
