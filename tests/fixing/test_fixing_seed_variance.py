"""The baseline on other seeds, as an experiment: what it says of the score, and of the findings."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds import HEALTHY, PAGE, Given, World, diagnosed, noise, remedy, run

from advisor.diagnosis import Diagnosis
from advisor.plan import Plan
from advisor.store import Store


def test_the_fact_holds_the_scores_of_the_fresh_seeds(store: Store, remedies: Given) -> None:
    """Five scores, their standard deviation, and on how many of the seeds each rule's finding came back."""
    remedies(remedy("good", "layers"))
    run(World(store, lambda plan, seed: 0.5 + 0.01 * seed, lambda _: diagnosed("good")))
    fact = store.record(1).facts["probe.seed_variance"]
    assert isinstance(fact, dict)
    assert fact["scores"] == pytest.approx([0.51, 0.52, 0.53, 0.54, 0.55])
    assert fact["deviation"] == pytest.approx(0.01 * 2.5**0.5)
    assert fact["found"] == {"fault": 5}


def test_a_finding_that_came_back_on_every_seed_is_confirmed(store: Store, remedies: Given) -> None:
    """In the session's diagnosis, and in that of the run, which the report shows."""
    remedies(remedy("good", "layers"))
    done = run(World(store, lambda plan, seed: 0.5 + noise(plan, seed), lambda _: diagnosed("good")))
    assert done.session.diagnosis is not None
    assert [("seed_variance",)] == [finding.confirmed_by for finding in done.session.diagnosis.findings]
    assert Diagnosis.model_validate_json(store.diagnosis(1) or "") == done.session.diagnosis


def test_a_finding_that_one_seed_lacks_is_not(store: Store, remedies: Given) -> None:
    """Found on four of the five other seeds."""
    remedies(remedy("good", "layers"))
    world = World(store, lambda plan, seed: 0.5 + noise(plan, seed), lambda _: diagnosed("good"))
    calls: list[int] = []

    def diagnosis(_: Plan) -> Diagnosis:
        calls.append(1)
        return HEALTHY if len(calls) == 4 else diagnosed("good")

    world.diagnosis = diagnosis
    done = run(world)
    assert done.session.diagnosis is not None
    assert [()] == [finding.confirmed_by for finding in done.session.diagnosis.findings]
    assert not any("may be chance" in note for note in done.session.notes)


RULE = """from advisor import Evidence, Finding, rule


@rule(kind="fit", needs=["train_loss"], optional=["probe.seed_variance"], probes=["seed_variance"])
def shaky(run: Evidence) -> Finding | None:
    spread = run.table("probe.seed_variance")["deviation"] if run.has("probe.seed_variance") else 0.0
    return Finding(message=f"It moves by {spread:.3f}.", numbers=(), confidence=0.9, first_step="Take more seeds.")
"""


def test_a_rule_may_ask_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remedies: Given, store: Store) -> None:
    """The run is diagnosed again with what the seeds said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "shaky.py").write_text(PAGE + RULE)
    (tmp_path / "pyproject.toml").write_text('[tool.advisor]\nrules = ["own"]\n')
    remedies(remedy("good", "layers"))
    asking = diagnosed("good", rule="shaky", probes=("seed_variance",))
    done = run(World(store, lambda plan, seed: 0.5 + 0.01 * seed, lambda _: asking))
    assert done.session.diagnosis is not None
    assert "It moves by 0.016." in {finding.message for finding in done.session.diagnosis.findings}
