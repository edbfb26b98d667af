"""What `fix` keeps: what helped on fresh seeds, alone or on top of what is kept, in its file and in the store."""

from __future__ import annotations

import pytest
from worlds import HEALTHY, Given, World, change, diagnosed, gaining, names, noise, remedy, run

from advisor.diagnosis import Diagnosis
from advisor.events import Accepted, Event, TrialDone
from advisor.plan import Plan
from advisor.session import FixSession
from advisor.store import Store


def test_what_helps_is_kept(store: Store, remedies: Given) -> None:
    """The helpful one of three is accepted on five fresh seeds, and its file can be read back."""
    remedies(remedy("good", "layers"), remedy("bad", "inputs"), remedy("idle", "decay"))
    world = gaining(store, {"bad": -0.2, "good": 0.2, "idle": 0.0}, HEALTHY)
    done = run(world)
    assert done.plan == change("good")
    assert done.final is not None
    assert (done.final.kind, done.final.seeds, done.final.p) == ("helped", (1, 2, 3, 4, 5), 1 / 32)
    assert Plan.load("advisor-plan.toml") == done.plan
    assert done.session.plan_file == "advisor-plan.toml"


def test_nothing_is_confirmed_on_the_seed_that_screened(store: Store, remedies: Given) -> None:
    """Seed 0 screens, the others confirm."""
    remedies(remedy("good", "layers"))
    done = run(gaining(store, {"good": 0.2}, HEALTHY))
    assert [(t.stage, t.seeds) for t in done.session.trials] == [
        ("baseline", (1, 2, 3, 4, 5)),
        ("confirm", (1, 2, 3, 4, 5)),
    ]


def test_two_that_help_are_composed(store: Store, remedies: Given) -> None:
    """The second is compared with the first, not with the unchanged program."""
    remedies(remedy("one", "layers"), remedy("two", "inputs"))
    done = run(gaining(store, {"one": 0.2, "two": 0.1}, HEALTHY), budget=40)
    assert done.plan == change("one") + change("two")
    kept = [trial for trial in done.session.trials if trial.kept]
    assert [(trial.plan, trial.against) for trial in kept] == [
        (change("one"), Plan()),
        (change("one") + change("two"), change("one")),
    ]
    assert done.final is not None
    assert done.final.gain == pytest.approx(0.3, abs=0.03)


def test_remedies_that_change_the_same_part_are_not_composed(store: Store, remedies: Given) -> None:
    """Once one rate is kept, the other is not tried on top of it."""
    remedies(remedy("lower", "learning_rate"), remedy("higher", "learning_rate"))
    world = gaining(store, {"lower": 0.2, "higher": 0.1})
    assert run(world, budget=40).plan == change("lower")
    assert not any(len(job.plan.steps) > 1 for job in world.jobs)


def test_a_kept_remedy_may_get_other_parameters(store: Store, remedies: Given) -> None:
    """Twice as strong is better still: the second stage replaces the first choice, it does not add another."""
    remedies(remedy("good", "layers", (1.0, 2.0)))

    def score(plan: Plan, seed: int) -> float:
        strength = sum(float(str(step.parameters["strength"])) for step in plan.steps)
        return 0.4 + 0.1 * strength + noise(plan, seed)

    monkeyed = World(store, score, lambda plan: HEALTHY if plan == change("good", 2.0) else diagnosed("good"))
    assert run(monkeyed, budget=40).plan == change("good", 2.0)


def test_a_change_whose_run_is_still_sick_is_followed_up(store: Store, remedies: Given) -> None:
    """Two faults that hide each other: neither remedy alone does much, both are confirmed as one change."""
    remedies(remedy("one", "layers"), remedy("two", "inputs"))

    def score(plan: Plan, seed: int) -> float:
        return {0: 0.1, 1: 0.2, 2: 0.9}[len(plan.steps)] + noise(plan, seed)

    def diagnosis(plan: Plan) -> Diagnosis:
        return {0: diagnosed("one"), 1: diagnosed("two", rule="what was hidden")}.get(len(plan.steps), HEALTHY)

    world = World(store, score, diagnosis)
    done = run(world)
    assert done.plan == change("one") + change("two")
    assert [t.against for t in done.session.trials if t.kept] == [Plan()]


def test_what_adds_nothing_is_not_composed(store: Store, remedies: Given) -> None:
    """The run with the first remedy is still called sick, the second brings less than the noise: one is kept."""
    remedies(remedy("one", "layers"), remedy("two", "inputs"))

    def score(plan: Plan, seed: int) -> float:
        return 0.5 + 0.2 * ("one" in names(plan)) + 0.001 * ("two" in names(plan)) + noise(Plan(), seed)

    world = World(store, score, lambda plan: diagnosed("two", rule="imagined") if plan else diagnosed("one"))
    assert run(world).plan == change("one")


def test_what_leaves_nothing_wrong_needs_no_margin(store: Store, remedies: Given) -> None:
    """The second of two faults hardly costs anything in the score: it was found, so its repair is kept as well."""
    remedies(remedy("one", "layers"), remedy("two", "inputs"))

    def score(plan: Plan, seed: int) -> float:
        return 0.5 + 0.3 * ("one" in names(plan)) + 0.001 * ("two" in names(plan)) + noise(Plan(), seed)

    def diagnosis(plan: Plan) -> Diagnosis:
        return (
            HEALTHY if len(plan.steps) == 2 else diagnosed("two" if plan else "one", rule="left" if plan else "first")
        )

    assert run(World(store, score, diagnosis)).plan == change("one") + change("two")


def test_the_store_has_the_session(store: Store, remedies: Given) -> None:
    """The document is what `fix` returned, and events tell of every trial."""
    remedies(remedy("good", "layers"), remedy("<b>", "inputs"))
    events: list[Event] = []
    done = run(gaining(store, {"good": 0.2, "<b>": -0.1}, HEALTHY), on_event=events.append)
    number, status, document = store.session_documents()[-1]
    assert (number, status) == (done.session.id, "finished")
    assert FixSession.model_validate_json(document) == done.session
    assert [event.plan for event in events if isinstance(event, Accepted)] == [done.plan]
    told = {event.trial.number for event in events if isinstance(event, TrialDone)}
    assert told == {trial.number for trial in done.session.trials}
    assert list(done.table()["verdict"]) == ["", "helped", "hurt"]
    assert "&lt;b&gt;" in done._repr_html_()
    assert "<b>" not in done._repr_html_()
