"""The screens: pictures at two sizes, keys, empty states, and pages."""

from __future__ import annotations

import asyncio
import doctest
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from built import (
    by_epoch,
    by_layer,
    diagnosis,
    findings,
    healthy,
    info,
    not_enough,
    overfitted,
    run_report,
    session,
    session_report,
)
from rich.cells import cell_len
from screens import check_snapshot, screen
from textual.widgets import TabbedContent

from advisor.plan import Plan
from advisor.record import Layer, Record
from advisor.report import Report, RunReport, SessionReport
from advisor.report.pages import rule_page
from advisor.report.tui import PANELS, ReportApp, curves, palette, svg_of
from advisor.report.tui.app import runs
from advisor.report.tui.heatmap import drawn, grid, legend
from advisor.report.tui.lines import limits, pictures

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


# ---------------------------------------------------------------------------------------------------- empty states


def test_space_scrolls_a_trials_details() -> None:
    """On the smallest terminal the last seed of five does not fit; the keys say how to come to it."""
    asked = {keys: show(session_report(), "trials", keys=keys) for keys in ((), ("space",), ("space", "b"))}
    assert [True, False, True] == ["verdict        helped" in shown for shown in asked.values()]
    assert [False, True, False] == ["seed 4" in shown for shown in asked.values()]
    assert all("space b scroll" in shown for shown in asked.values())
    assert "space b scroll" not in show(run_report(), "trials")


def test_a_legend_stays_on_its_line() -> None:
    """Also on the smallest terminal and with the baseline in it, which takes the most room."""
    seeded = replace(overfitted(), info=info().model_copy(update={"seed": 3}))
    lines = show(SessionReport(session(), (seeded,), (seeded,)), "curves").splitlines()
    assert " with the plan, seed 3  ── baseline  ── train  ── clean train  ── validation" in lines


def test_the_scale_names_its_powers() -> None:
    """1 is not 1e-0."""
    found = by_layer("grad_norm", [[0.05], [0.9]], ("fc",))
    assert legend(found).plain.split() == ["1e-2", "1", "·", "zero", "×", "not", "finite"]


def test_healthy_and_not_enough_evidence_look_different() -> None:
    """Both are outcomes with their reasons; neither is an empty screen."""
    well = show(RunReport(overfitted(), healthy()))
    assert "healthy   no rule found a problem" in well
    assert "seen: 20 epochs, 200 steps" in well
    unknown = show(RunReport(overfitted(), not_enough()))
    assert "not enough evidence   to call this run healthy or" in unknown
    assert "no validation was seen: pass val= to" in unknown
    assert "no diagnosis   the rules are asked when the" in show(RunReport(overfitted()))


def test_no_data_does_not_look_like_nothing_wrong() -> None:
    """Each panel says what is missing and how to get it."""
    empty = RunReport(Record(info()), not_enough())
    assert "no curves were recorded" in show(empty, "curves")
    assert "The run ended before its first optimizer step." in show(empty, "curves")
    assert "no layers were recorded" in show(empty, "layers")
    assert (
        "No trials: this is one run, not a session of `advisor fix`.\n To try remedies on it: advisor fix train.py"
        in (show(empty, "trials"))
    )
    only_loss = Record(info(), {"val_loss": by_epoch("val_loss", [1.0, 0.9], "val")})
    assert "pass the model and the optimizer to advisor.watch." in show(RunReport(only_loss), "layers", LARGE)
    assert "only gradients: KeyError" in show(
        RunReport(replace(only_loss, problems=("only gradients: KeyError",))), "layers", LARGE
    )


def test_a_session_without_records_or_trials() -> None:
    """A session whose runs are gone from the store, and one that tried nothing."""
    bare = SessionReport(session())
    assert "The store holds no record of this session's runs." in show(bare, "curves")
    assert "The store holds no record of this session's runs." in show(bare, "layers")
    nothing = session().model_copy(update={"trials": (), "plan": Plan(), "final": None, "status": "running"})
    assert "No trial has ended yet." in show(SessionReport(nothing), "trials")


def test_names_are_shown_as_they_are() -> None:
    """Layers, rules and messages that look like markup or drive a terminal are only text."""
    name = "[red]x[/red]\x1b[31m"
    found = findings()[0].model_copy(update={"rule": name, "message": name})
    said = diagnosis().model_copy(update={"findings": (found,), "notes": ()})
    layers = {"grad_norm": by_layer("grad_norm", [[1.0, 2.0]] * 3, (name, "fc"))}
    report = RunReport(Record(info(name=name), layers), said)
    assert "[red]x[/red]" in show(report).splitlines()[0]
    assert 3 <= show(report).count("[red]x[/red]")
    assert " [red]x[/red]" in show(report, "layers").splitlines()[8]
    session_ = session().model_copy(update={"metric": name, "name": name})
    assert "[red]x[/red]" in show(SessionReport(session_), "trials")


# ---------------------------------------------------------------------------------------------- what is drawn from


def test_the_grid_is_the_mean_of_log10_by_stretch_of_steps() -> None:
    """Two columns for four samples: the geometric mean of each half."""
    found = grid(by_layer("grad_norm", [[1e-4], [1e-2], [1.0], [1.0]], ("fc",)), 2)
    assert [[-3.0, 0.0]] == found.cells.round(6).tolist()
    assert (-3.0, 0.0) == (found.low, found.high)


def test_zero_and_not_finite_are_off_the_scale() -> None:
    """A layer that never moved and one that overflowed do not bend the colours of the rest."""
    found = grid(by_layer("grad_norm", [[0.0, np.inf, 1.0, np.nan], [0.0, 1.0, 1.0, 1.0]]), 2)
    assert [-np.inf, -np.inf] == found.cells[0].tolist()
    assert [np.inf, 0.0] == found.cells[1].tolist()
    assert [0.0, 0.0] == found.cells[2].tolist()
    assert [np.inf, 0.0] == found.cells[3].tolist()
    text = drawn(by_layer("grad_norm", [[0.0, np.inf, 1.0, np.nan], [0.0, 1.0, 1.0, 1.0]]), 40).plain
    assert "·" in text.splitlines()[0]
    assert "×" in text.splitlines()[1]


def test_a_stretch_without_a_sample_repeats_the_one_before() -> None:
    """Fewer samples than columns leave no holes."""
    found = grid(by_layer("grad_norm", [[1.0], [10.0]], ("fc",)), 4)
    assert [[0.0, 0.0, 0.0, 1.0]] == found.cells.tolist()


def test_long_layer_names_keep_their_end() -> None:
    """The end tells layers apart."""
    name = "encoder.blocks.0.attention.projection.weight_of_it"
    first = drawn(by_layer("grad_norm", [[1.0], [1.0]], (name,)), 60).plain.splitlines()[0]
    assert first.startswith("…ection.weight_of_it ")  # a third of the width
    assert 60 == cell_len(first)


def test_a_numbered_layer_shows_its_class() -> None:
    """`0` and `2` of an nn.Sequential say nothing."""
    layers = tuple(Layer(name=name, kind="Linear", parameters=6) for name in ("0", "fc2"))
    series = {"grad_norm": by_layer("grad_norm", [[1.0, 2.0]], ("0", "fc2"))}
    lines = show(RunReport(Record(info().model_copy(update={"layers": layers}), series)), "layers").splitlines()
    assert [" 0 Linear", " fc2     "] == [line[:9] for line in lines[8:10]]


def test_the_loss_is_logarithmic_only_where_it_spans_decades() -> None:
    """A ratio above 100 on positive values; the score never."""
    loss, score = pictures(overfitted())
    assert ("loss, logarithmic", "epoch", True) == (loss.title, loss.unit, loss.logarithmic)
    assert ["train", "clean train", "validation"] == [line.label for line in loss.lines]
    assert ("accuracy", False) == (score.title, score.logarithmic)
    (flat,) = pictures(Record(info(), {"val_loss": by_epoch("val_loss", [1.0, 0.5], "val")}))
    assert ("loss", False) == (flat.title, flat.logarithmic)


def test_a_curve_ends_where_it_is_not_finite_and_says_so() -> None:
    """What cannot be drawn is named."""
    record = Record(info(), {"val_loss": by_epoch("val_loss", [1.0, 2.0, float("nan"), float("inf")], "val")})
    assert "not finite: loss of validation from epoch 2" in show(RunReport(record), "curves")


def test_a_run_without_an_epoch_shows_its_steps() -> None:
    """The loss by step is better than nothing."""
    record = Record(info(), {"step_loss": replace(by_epoch("step_loss", [1.0, 0.5, 0.4]), phase="step")})
    (picture,) = pictures(record)
    assert ("loss", "step") == (picture.title, picture.unit)
    assert "loss by step" in show(RunReport(record), "curves")


def test_limits_are_never_empty() -> None:
    """One point, and a constant, still have a plot around them."""
    (one,) = pictures(Record(info(), {"val_loss": by_epoch("val_loss", [0.0], "val")}))
    assert (0.0, 1.0, -1.0, 1.0) == limits(one.lines)
    (nothing,) = pictures(Record(info(), {"val_loss": by_epoch("val_loss", [float("nan")], "val")}))
    assert (0.0, 1.0, 0.0, 1.0) == limits(nothing.lines)
    for broken in (one, nothing):
        record = Record(info(), {"val_loss": by_epoch("val_loss", broken.lines[0].y.tolist() or [np.nan], "val")})
        assert "loss by epoch" in show(RunReport(record), "curves")


def test_huge_numbers_can_be_drawn() -> None:
    """A run that diverged to 1e30 has a curve."""
    record = Record(info(), {"train_loss": by_epoch("train_loss", [1.0, 1e15, 1e30])})
    assert "loss, logarithmic by epoch" in show(RunReport(record), "curves")


# ----------------------------------------------------------------------------------------------------------- pages


def test_a_page_is_read_without_running_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's rule is not imported when its page is shown; a name that is no name is not looked up."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "my_rule.py").write_text('"""My page."""\nraise SystemExit("ran")\n', encoding="utf-8")
    (folder / "broken.py").write_text("def", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text('[tool.advisor]\nrules = ["mine"]\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert "My page." == rule_page("my_rule")
    assert rule_page("broken") is None
    assert rule_page("absent") is None
    assert rule_page("../mine/my_rule") is None


def test_a_broken_configuration_costs_only_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report opens all the same."""
    (tmp_path / "pyproject.toml").write_text("[tool.advisor]\nnonsense = 1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert rule_page("my_rule") is None


def test_examples() -> None:
    """The examples in the docstrings hold."""
    assert (0, 0) == (doctest.testmod(palette).failed, doctest.testmod(curves).failed)
