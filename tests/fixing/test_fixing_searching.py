"""What `fix` tries next: after a screening, after what was kept, and when the diagnosis has no more to say."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from worlds import EPOCHS, HEALTHY, Factor, Given, World, change, diagnosed, gaining, names, noise, remedy, run

from advisor.diagnosis import Diagnosis
from advisor.plan import Plan
from advisor.screening import Tried
from advisor.searching import _Stage
from advisor.store import Store


def test_what_helped_is_tried_in_other_strengths(store: Store, remedies: Given) -> None:
    """After one choice of each remedy come further choices of the one that helped."""
    remedies(remedy("dropout", "layers", (0.2, 0.5)), remedy("idle", "decay", (1.0, 2.0)))

    def score(plan: Plan, seed: int) -> float:
        gain = sum(float(step.parameters["strength"]) for step in plan.steps if step.remedy == "dropout")  # type: ignore[arg-type]
        return 0.3 + gain + noise(plan, seed)

    world = World(store, score, lambda plan: diagnosed(rule="left over") if plan else diagnosed("dropout", "idle"))
    assert run(world).plan == change("dropout", 0.5)
    screened = [job.plan for job in world.jobs if job.seed == 0 and job.plan]
    assert screened[:3] == [change("dropout", 0.2), change("idle"), change("dropout", 0.5)]


def test_a_clear_repair_is_confirmed_before_anything_else_is_screened(
    store: Store, remedies: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the wiring is at fault, or nothing is wrong any more; else the other remedies are looked at first."""
    sick = diagnosed(rule="left over")
    for kind, after, before in (("wiring", sick, 1), ("fit", HEALTHY, 1), ("fit", sick, 3)):
        monkeypatch.setattr("advisor.fixing.rules_in_force", lambda _, kind=kind: {"fault": SimpleNamespace(kind=kind)})
        remedies(remedy("good", "layers"), remedy("idle", "decay"), remedy("idler", "inputs"))
        world = gaining(store, {"good": 0.3, "idle": 0.0, "idler": 0.0}, after)
        assert run(world).plan == change("good")
        confirmed = [job.plan for job in world.jobs].index(change("good"), 7)
        screened = {str(job.plan) for job in world.jobs[:confirmed] if job.plan and job.seed == 0}
        assert len(screened) == before


def test_what_hurt_is_not_tried_again_on_top(store: Store, remedies: Given) -> None:
    """It lost beside the good one and alone, in the first stage; no later stage pays for it again."""
    remedies(remedy("good", "layers"), remedy("bad", "inputs"))
    world = gaining(store, {"good": 0.2, "bad": -0.2})
    run(world, budget=40)
    accepted = max(i for i, job in enumerate(world.jobs) if job.plan == change("good"))
    assert not any("bad" in names(job.plan) for job in world.jobs[accepted:])


def test_what_hurt_alone_is_tried_again_where_it_leads(store: Store, remedies: Given) -> None:
    """Two faults: repairing the second hurts as long as the first is there, and is the first thing to do after it."""
    remedies(remedy("softmax", "output"), remedy("gradients", "layers"))

    def score(plan: Plan, seed: int) -> float:
        of = {(): 0.3, ("softmax",): 0.2, ("gradients",): 0.6}
        return of.get(tuple(names(plan)), 0.9) + noise(plan, seed)

    def diagnosis(plan: Plan) -> Diagnosis:
        if "gradients" not in names(plan):
            both = diagnosed("softmax", rule="one").findings + diagnosed("gradients", rule="two").findings
            return Diagnosis(status="problems", findings=both)
        return HEALTHY if "softmax" in names(plan) else diagnosed("softmax", rule="one")

    assert set(names(run(World(store, score, diagnosis)).plan)) == {"softmax", "gradients"}


def test_the_longest_run_that_the_budget_allows_is_tried(store: Store, remedies: Given) -> None:
    """Eight times the length is too dear to be proven, twice is not: it need not wait for other remedies."""
    remedies(remedy("more", "epochs", (8.0, 2.0), parameters=Factor), remedy("idle", "decay"))

    def length(plan: Plan) -> int:
        factors = [int(float(str(step.parameters["factor"]))) for step in plan.steps if step.remedy == "more"]
        return EPOCHS * (factors[0] if factors else 1)

    world = gaining(store, {"more": 0.3, "idle": 0.0}, HEALTHY, epochs=length)
    assert run(world).plan == Plan.of("more", factor=2.0)
    assert next(job.plan for job in world.jobs if job.plan) == Plan.of("more", factor=2.0)


def test_the_rules_hand_over_to_the_search(store: Store, remedies: Given) -> None:
    """When the diagnosis has no more to try, the rest of the budget goes to the other remedies."""
    remedies(remedy("idle", "layers"), remedy("good", "inputs"))

    def score(plan: Plan, seed: int) -> float:
        return 0.5 + 0.2 * ("good" in names(plan)) + noise(plan, seed)

    assert run(World(store, score, lambda _: diagnosed("idle")), budget=30).plan == change("good")


@pytest.mark.parametrize("strategy", ["random", "tpe"])
def test_the_other_strategies_run_the_same_loop(store: Store, remedies: Given, strategy: str) -> None:
    """Blind to the diagnosis, they find a remedy that no finding names."""
    remedies(*(remedy(name, "layers") for name in ("a", "b")), remedy("good", "inputs"))

    def score(plan: Plan, seed: int) -> float:
        return 0.5 + 0.2 * ("good" in names(plan)) + noise(plan, seed)

    assert run(World(store, score, lambda _: diagnosed("a")), strategy=strategy).plan == change("good")


def test_what_was_stopped_comes_after_what_it_lost_to() -> None:
    """Its gain is that of an early epoch, where differences are larger than at the end."""
    stage = _Stage.__new__(_Stage)
    stage._screening = SimpleNamespace(noise=0.01)  # type: ignore[assignment]  # all that is asked of it
    leader = Tried(1, change("good"), 0.1, promising=True)
    stopped = Tried(2, change("fast"), 0.3, promising=False, stopped=True)
    assert [leader, stopped] == sorted([stopped, leader], key=stage._worth, reverse=True)
