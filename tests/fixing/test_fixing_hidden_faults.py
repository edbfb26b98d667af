"""Two faults at once: the repair of the first is worth nothing alone, and symptoms of a fault cost no trainings."""

from __future__ import annotations

import pytest
from worlds import HEALTHY, Fraction, Given, World, change, diagnosed, names, noise, only, remedy, run

from advisor.diagnosis import Diagnosis
from advisor.plan import Plan
from advisor.store import Store

WIRING = "missing_zero_grad"  # a rule of ours whose fault lies in the wiring
REGIME = "learning_rate_too_low"  # and one that other remedies make up for as well


def _world(store: Store, leading: str) -> World:
    """The first remedy takes the score down, both together take it up; with the first the second fault is seen."""
    scores = {(): 0.3, ("wires",): 0.2, ("wires", "rate"): 0.9}
    said = {(): diagnosed("wires", rule=leading), ("wires",): diagnosed("rate", rule="what was hidden")}

    def score(plan: Plan, seed: int) -> float:
        return scores.get(tuple(names(plan)), 0.3) + noise(plan, seed)

    def diagnosis(plan: Plan) -> Diagnosis:
        return said.get(tuple(names(plan)), HEALTHY)

    return World(store, score, diagnosis)


@pytest.fixture
def both(remedies: Given) -> None:
    """The two remedies of that world."""
    remedies(remedy("wires", "loop"), remedy("rate", "learning_rate"))


@pytest.mark.usefixtures("both")
def test_a_repair_that_lays_another_fault_bare_is_gone_on_from(store: Store) -> None:
    """The wiring is repaired, nothing is gained, and the remedy for what its run shows is added at once."""
    world = _world(store, WIRING)
    assert run(world).plan == change("wires") + change("rate")
    assert [str(job.plan) for job in world.jobs if job.number in (1, 2) and job.seed == 0] == [
        str(change("wires")),
        str(change("wires") + change("rate")),
    ]


@pytest.mark.usefixtures("both")
def test_a_repair_of_the_leading_fault_is_not_stopped_early(store: Store) -> None:
    """It loses from the first epoch on, and is run to its end: what is wrong with it cannot be told before."""
    world = _world(store, WIRING)
    run(world)
    alone = [job for job in world.jobs if job.plan == change("wires")]
    assert [(job.seed, job.rival) for job in alone] == [(0, None)]


@pytest.mark.usefixtures("both")
def test_a_regime_whose_remedy_loses_is_not_gone_on_from(store: Store) -> None:
    """A rate that is too low is a matter of degree: the score has the last word, and the loser is stopped early."""
    world = _world(store, REGIME)
    assert run(world).plan == Plan()
    assert all(job.rival is not None for job in world.jobs if job.plan == change("wires"))


@pytest.mark.parametrize(("explained_by", "probes"), [(None, 2), ("fault", 0)])
def test_a_symptom_asks_for_no_trainings(
    store: Store, monkeypatch: pytest.MonkeyPatch, explained_by: str | None, probes: int
) -> None:
    """How more data would help is measured for a cause; for what another finding explains it would cost for nothing."""
    only(monkeypatch, remedy("share", "subset", (), parameters=Fraction))
    cause = diagnosed(rule="fault")
    finding = diagnosed(rule="overfitting", probes=("data_fractions",)).findings[0]
    finding = finding.model_copy(update={"explained_by": explained_by})
    said = cause.model_copy(update={"findings": (*cause.findings, finding)})
    done = run(World(store, lambda plan, seed: 0.5 + noise(plan, seed), lambda _: said))
    assert sum(trial.stage == "probe" for trial in done.session.trials) == probes
