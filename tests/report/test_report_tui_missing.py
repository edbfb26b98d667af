"""The screens where something is missing, empty or not to be trusted: each says what, and nothing breaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from built import by_epoch, by_layer, diagnosis, findings, healthy, info, not_enough, overfitted, session
from shown import LARGE, show

from advisor.plan import Plan
from advisor.record import Record
from advisor.report import RunReport, SessionReport
from advisor.report.pages import rule_page


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
