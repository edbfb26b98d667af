"""What the screens draw from: the grid of layers with its scale, and the curves with their limits."""

from __future__ import annotations

import doctest
from dataclasses import replace

import numpy as np
from built import by_epoch, by_layer, info, overfitted, session
from rich.cells import cell_len
from shown import show

from advisor.record import Layer, Record
from advisor.report import RunReport, SessionReport
from advisor.report.tui import curves, palette
from advisor.report.tui.heatmap import drawn, grid, legend
from advisor.report.tui.lines import limits, pictures


def test_a_legend_stays_on_its_line() -> None:
    """Also on the smallest terminal and with the baseline in it, which takes the most room."""
    seeded = replace(overfitted(), info=info().model_copy(update={"seed": 3}))
    lines = show(SessionReport(session(), (seeded,), (seeded,)), "curves").splitlines()
    assert " with the plan, seed 3  ── baseline  ── train  ── clean train  ── validation" in lines


def test_the_scale_names_its_powers() -> None:
    """1 is not 1e-0."""
    found = by_layer("grad_norm", [[0.05], [0.9]], ("fc",))
    assert legend(found).plain.split() == ["1e-2", "1", "·", "zero", "×", "not", "finite"]


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


def test_examples() -> None:
    """The examples in the docstrings hold."""
    assert (0, 0) == (doctest.testmod(palette).failed, doctest.testmod(curves).failed)
