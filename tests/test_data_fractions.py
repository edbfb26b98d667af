"""The learning curve: exact on curves whose law is known, honest about noise, and part of a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import PAGE, Fraction, World, diagnosed, only, remedy, run

from advisor.experiments.data_fractions import extrapolate
from advisor.metric import Metric
from advisor.plan import Plan
from advisor.session import FixSession
from advisor.store import Store

ACCURACY, LOSS = Metric("val_accuracy", "max"), Metric("val_loss", "min")
FRACTIONS = [0.25, 0.5, 1.0]
RULE = """from advisor import Evidence, Finding, rule


@rule(
    kind="fit", needs=["train_loss"], optional=["probe.data_fractions"], probes=["data_fractions"]
)
def few_data(run: Evidence) -> Finding | None:
    gain = run.table("probe.data_fractions")["doubling_gain"] if run.has("probe.data_fractions") else 0.0
    return Finding(message=f"Doubling should bring {gain:.2f}.", numbers=(), confidence=0.9, first_step="Collect more.")
"""


def curve(errors: list[float], metric: Metric = ACCURACY, seeds: int = 2) -> dict[str, Any]:
    sign = metric.mode == "min"
    return extrapolate(FRACTIONS, [[e if sign else 1 - e] * seeds for e in errors], metric)


@pytest.mark.parametrize("exponent", [0.25, 0.5, 1.0])
def test_a_power_law_is_continued(exponent: float) -> None:
    """err = 0.1 + 0.1 n^-c: doubling brings 0.1 (1 − 2^-c), as accuracy and as loss."""
    errors = [0.1 + 0.1 * n**-exponent for n in FRACTIONS]
    expected = 0.1 * (1 - 2**-exponent)
    assert curve(errors)["doubling_gain"] == pytest.approx(expected, rel=0.02)
    assert curve(errors, LOSS)["doubling_gain"] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("errors", [[0.2, 0.2, 0.2], [0.1, 0.2, 0.3]])
def test_an_error_that_does_not_fall_promises_nothing(errors: list[float]) -> None:
    """Flat or rising with the data: zero."""
    assert curve(errors)["doubling_gain"] == 0.0


def test_without_spread_there_is_no_width() -> None:
    """Seeds that agree to the last bit."""
    assert curve([0.4, 0.3, 0.25])["doubling_gain_sd"] == pytest.approx(0.0, abs=1e-12)


def test_the_width_covers_the_truth() -> None:
    """In at least eight of ten worlds the true gain lies within two standard deviations."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(40):
        truth = [0.1 + 0.1 * n**-0.5 for n in FRACTIONS]
        groups = [list(1 - e + rng.normal(0, 0.005, k)) for e, k in zip(truth, (2, 2, 5), strict=True)]
        found: dict[str, Any] = extrapolate(FRACTIONS, groups, ACCURACY)
        covered += abs(found["doubling_gain"] - 0.1 * (1 - 2**-0.5)) <= 2 * found["doubling_gain_sd"]
    assert covered >= 32


def test_a_session_carries_the_experiment_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finding that asks for it gets runs on shares of the data, and the diagnosis is made again with the result."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "few_data.py").write_text(PAGE + RULE)
    (tmp_path / "pyproject.toml").write_text('[tool.advisor]\nrules = ["own"]\n')
    only(monkeypatch, remedy("share", "subset", (), parameters=Fraction))

    def score(plan: Plan, seed: int) -> float:
        share = float(plan.steps[0].parameters["fraction"]) if plan else 1.0  # type: ignore[arg-type]
        return 1 - 0.2 * share**-0.5 + seed / 10_000

    def epochs(plan: Plan) -> int:
        return round(8 * float(plan.steps[0].parameters["fraction"])) if plan else 8  # type: ignore[arg-type]

    store = Store(str(tmp_path / "advisor.db"))
    asking = diagnosed(rule="few_data", probes=("data_fractions",))
    done = run(World(store, score, lambda _: asking, epochs))
    probes = [(str(t.plan), t.seeds) for t in done.session.trials if t.stage == "probe"]
    assert probes == [("share(fraction=0.25)", (1,)), ("share(fraction=0.5)", (1,))]
    fact = store.record(1).facts["probe.data_fractions"]
    assert isinstance(fact, dict)
    assert fact["doubling_gain"] == pytest.approx(0.2 * (1 - 2**-0.5), rel=0.05)
    assert done.session.diagnosis is not None
    found = {finding.rule: finding.message for finding in done.session.diagnosis.findings}
    assert found["few_data"] == "Doubling should bring 0.06."
    assert FixSession.model_validate_json(store.session_documents()[-1][2]).diagnosis == done.session.diagnosis
    assert "few_data: Collect more." in done.session.advice
