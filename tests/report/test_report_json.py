"""The JSON report: its schema, that it reads back, and numbers that JSON does not have."""

from __future__ import annotations

import json
from dataclasses import replace

from built import by_epoch, findings, info, run_report, session, session_report

from advisor.diagnosis import Diagnosis
from advisor.finding import Number
from advisor.record import Record
from advisor.report import RunReport, SessionReport
from advisor.report.json import Document, document, dumps, render_json
from advisor.session import Verdict


def test_a_run_reads_back_as_it_was() -> None:
    """JSON to model and back is the same text."""
    text = render_json(run_report())
    back = Document.model_validate_json(text)
    assert document(run_report()) == back
    assert text == dumps(back)


def test_a_session_reads_back_as_it_was() -> None:
    """Every trial and verdict survives."""
    back = Document.model_validate_json(render_json(session_report()))
    assert session() == back.session
    assert ["baseline", "accepted"] == [run.role for run in back.runs]


def test_a_session_scores_all_runs_by_its_metric() -> None:
    """Not by what each run would choose."""
    report = session_report()
    by_loss = replace(report, session=report.session.model_copy(update={"metric": "val_loss", "mode": "min"}))
    scores = [run.score for run in document(by_loss).runs if run.score is not None]
    assert [("val_loss", 6), ("val_loss", 6)] == [(score.metric, score.best_epoch) for score in scores]


def test_the_schema() -> None:
    """Other programs rely on these names; a change of them needs another schema number."""
    read = json.loads(render_json(run_report()))
    assert ["schema", "kind", "runs", "diagnosis", "session"] == list(read)
    assert (1, "run", None) == (read["schema"], read["kind"], read["session"])
    (run,) = read["runs"]
    assert ["role", "info", "epochs", "steps", "score", "curves", "facts", "problems"] == list(run)
    assert ["metric", "mode", "final", "best", "best_epoch"] == list(run["score"])
    assert {"batch_size": 64, "classes": 10} == run["facts"]
    assert (20, 200) == (run["epochs"], run["steps"])
    expected = ["clean_train_accuracy", "clean_train_loss", "train_loss", "val_accuracy", "val_loss"]
    assert expected == list(run["curves"])


def test_numbers_that_are_not_finite_are_strings() -> None:
    """They are told apart, and become numbers again where a number is expected."""
    series = {"val_loss": by_epoch("val_loss", [1.0, float("inf"), float("nan")], "val")}
    number = Number(text="loss", value=float("-inf"), threshold=float("nan"))
    found = findings()[0].model_copy(update={"numbers": (number,)})
    record = Record(info(), series, {"worst": float("nan")})
    text = render_json(RunReport(record, Diagnosis(status="problems", findings=(found,))))
    read = json.loads(text, parse_constant=lambda name: f"not JSON: {name}")
    (run,) = read["runs"]
    assert [1.0, "Infinity", "NaN"] == run["curves"]["val_loss"]["values"]
    assert {"worst": "NaN"} == run["facts"]
    assert "NaN" == run["score"]["final"]
    assert {"text": "loss", "value": "-Infinity", "threshold": "NaN"} == read["diagnosis"]["findings"][0]["numbers"][0]
    back = Document.model_validate_json(text)
    assert float("inf") == back.runs[0].curves["val_loss"].values[1]
    assert text == dumps(back)


def test_verdicts_that_are_not_finite_are_strings() -> None:
    """A trial that broke has no score, and the document stays JSON."""
    broken = Verdict(kind="failed", seeds=(0,), baseline=(0.8,), plan=(float("nan"),), gain=float("nan"))
    trial = session().trials[1].model_copy(update={"verdict": broken, "scores": (float("nan"),)})
    text = render_json(SessionReport(session().model_copy(update={"trials": (trial,)})))
    read = json.loads(text, parse_constant=lambda name: f"not JSON: {name}")
    assert ["NaN"] == read["session"]["trials"][0]["verdict"]["plan"]
    assert text == dumps(Document.model_validate_json(text))


def test_nothing_measured_is_null() -> None:
    """No score and no diagnosis are null, which is not the same as zero or healthy."""
    read = json.loads(render_json(RunReport(Record(info()))))
    assert read["runs"][0]["score"] is None
    assert read["diagnosis"] is None


def test_control_characters_are_escaped() -> None:
    """The text is ASCII: printing it cannot drive a terminal."""
    report = run_report()
    made = replace(report.record, info=report.record.info.model_copy(update={"name": "\x1b[31m\x9bé"}))
    text = render_json(RunReport(made, report.diagnosis))
    assert text.isascii()
    assert "\x1b" not in text
