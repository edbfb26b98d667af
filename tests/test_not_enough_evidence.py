"""What a run lacks to be called healthy: each reason says what cannot be known, and what to give."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from advisor.diagnosis import diagnose
from advisor.evidence import Evidence
from advisor.finding import Finding, Outcome
from advisor.record import Json, Phase, Record, RunInfo, Series, Status
from advisor.report import RunReport
from advisor.report.text import render_text


def run(
    status: Status = "finished", epochs: int = 4, facts: Mapping[str, Json] | None = None, **series: Phase
) -> Evidence:
    """A run with these facts, and these series, each of them 1."""
    at, ones = np.arange(epochs), np.ones((epochs, 1), dtype=np.float32)
    found = {name: Series(name, of, ("",), at, at, ones) for name, of in series.items()}
    return Evidence(Record(RunInfo(status=status), found, facts or {}))


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (run("running", 1, val_loss="val"), "1 complete epoch(s): at least 2 are needed"),
        (run(epochs=1, train_loss="train"), "1 complete epoch(s): at least 2 are needed"),
        (run(val_loss="val"), "the optimizer took no step: is the training loader empty, or "),
        (run(val_loss="val", lr="step"), "no training loss was seen: pass loss_fn= to advisor.watch"),
        (
            run(train_loss="train", lr="step"),
            "no validation was seen, so whether the model generalises cannot be known: the loop's loss is no function "
            "of torch's, so pass it as loss_fn=advisor.loss(yours) and call that, or log what counts: ",
        ),
        (
            run(train_loss="train", lr="step", facts={"loss": "mse_loss"}),
            "no validation was seen, so whether the model generalises cannot be known: pass val= to advisor.watch, "
            "splitting a part off the training data (torch.utils.data.random_split) where there is none",
        ),
    ],
    ids=["just begun", "short", "no step", "no loss", "no loss function", "no validation"],
)
def test_the_reason_comes_with_the_next_move(seen: Evidence, reason: str) -> None:
    """Nothing fired, and nothing could be asked: that is not health."""
    diagnosis = diagnose(seen, {})
    assert diagnosis.status == "not_enough_evidence"
    assert diagnosis.reason.startswith(reason)


class Always:
    """Stands for a rule that fires."""

    contradicts: tuple[str, ...] = ()

    def run(self, evidence: Evidence, overrides: object) -> Outcome:
        finding = Finding(message="It is broken.", numbers=(), confidence=0.9, rule="always")
        return Outcome(rule="always", result="fired", finding=finding)


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (
            run(train_loss="train", lr="step"),
            "no validation was seen, so whether the model generalises cannot be known",
        ),
        (run(train_loss="train", val_loss="val", lr="step"), ""),
        (run(epochs=1, train_loss="train", lr="step"), ""),
    ],
    ids=["no validation", "validation", "too early to tell"],
)
def test_missing_validation_is_said_beside_problems_too(seen: Evidence, says: str) -> None:
    """Problems were found, and still nobody knows whether the model generalises: the report says so below them."""
    diagnosis = diagnose(seen, {"always": Always()})  # type: ignore[dict-item]  # a stand-in
    assert diagnosis.status == "problems"
    assert diagnosis.unknown.partition(":")[0] == says
    assert ("no validation was seen" in render_text(RunReport(Record(seen.info), diagnosis), 200)) == bool(says)
