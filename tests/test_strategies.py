"""Strategies: in which order they propose, and what they never propose."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest
from worlds import HEALTHY, Given, change, diagnosed, only, remedy

from advisor.diagnosis import Diagnosis
from advisor.errors import AdvisorError
from advisor.evidence import Evidence, Missing
from advisor.plan import Plan
from advisor.record import Record, RunInfo
from advisor.strategies import Screened, Setting, Strategy, build, choices, fits, known_strategies

EVIDENCE = Evidence(Record(RunInfo()))


@pytest.fixture(autouse=True)
def remedies(monkeypatch: pytest.MonkeyPatch) -> Given:
    """Makes these the only remedies that there are; none at first."""
    only(monkeypatch)
    return partial(only, monkeypatch)


def setting(diagnosis: Diagnosis, kept: Plan | None = None, *leftovers: Plan, force: bool = False) -> Setting:
    return Setting(kept or Plan(), diagnosis, EVIDENCE, leftovers, force=force)


def asked(strategy: Strategy, gains: dict[str, float] | None = None) -> list[str]:
    """Everything that it proposes, as text, where each remedy's changes gain what is said here."""
    screened: list[Screened] = []
    while (proposed := strategy.ask(screened)) is not None:
        screened.append(Screened(proposed, (gains or {}).get(proposed.steps[0].remedy, 0.0)))
    return [str(s.change).replace("strength=", "") for s in screened]


def test_strategies_are_found_by_being_there() -> None:
    """Three files, three strategies; another name is an error that lists them."""
    assert known_strategies() == ("random", "rules", "tpe")
    with pytest.raises(AdvisorError, match=r"there is no strategy 'luck'.*random, rules, tpe"):
        build("luck", setting(HEALTHY))


def test_first_choices_of_all_come_before_second_choices(remedies: Given) -> None:
    """In the order in which the finding lists its remedies, not in that of their names."""
    remedies(remedy("b", "decay", (1, 2)), remedy("a", "layers", (1, 2, 3)))
    assert asked(build("rules", setting(diagnosed("b", "a")))) == ["b(1)", "a(1)", "b(2)", "a(2)", "a(3)"]


def test_further_choices_of_what_helped_come_first(remedies: Given) -> None:
    """a helped and b did not: a is tried through before b has a second chance."""
    remedies(remedy("b", "decay", (1, 2)), remedy("a", "layers", (1, 2, 3)))
    strategy = build("rules", setting(diagnosed("b", "a")))
    assert asked(strategy, {"a": 0.1}) == ["b(1)", "a(1)", "a(2)", "a(3)", "b(2)"]


def test_causes_come_before_symptoms(remedies: Given) -> None:
    """The remedies of the first finding, then those of the second; a remedy of both once."""
    remedies(remedy("a", "layers"), remedy("b", "decay"), remedy("c", "inputs"))
    first, second = diagnosed("c", "b", rule="one").findings[0], diagnosed("b", "a", rule="two").findings[0]
    both = Diagnosis(status="problems", findings=(first, second))
    assert asked(build("rules", setting(both))) == ["c(1)", "b(1)", "a(1)"]


def test_leftovers_come_first(remedies: Given) -> None:
    """What looked good in the stage before, where it can be added to what was kept since."""
    remedies(remedy("a", "decay"), remedy("b", "learning_rate"), remedy("c", "learning_rate"))
    given = setting(diagnosed("a"), change("c"), change("b"), change("c", 2.0), change("a"))
    assert asked(build("rules", given)) == ["a(1)"]


def test_what_comes_to_the_same_plan_is_proposed_once(remedies: Given) -> None:
    """A leftover that holds what is kept, and the remedy that it adds to that, are one training."""
    remedies(remedy("a", "decay"), remedy("b", "inputs"))
    given = setting(diagnosed("b"), change("a"), change("a") + change("b"))
    assert asked(build("rules", given)) == ["a(1) + b(1)"]


@pytest.mark.parametrize(("together", "again"), [(0.4, ["a(1) + b(1)"]), (0.3, []), (0.2, [])])
def test_what_added_nothing_to_what_was_kept_is_spent(remedies: Given, together: float, again: list[str]) -> None:
    """a gained 0.3 and was kept since: b is tried on top of it where a and b together gained more, and only then."""
    remedies(remedy("a", "decay"), remedy("b", "inputs"))
    both = change("a") + change("b")
    history = (Screened(change("a"), 0.3), Screened(both, together))
    found = setting(diagnosed("c", "b"), change("a"), both)
    strategy = build("rules", dataclasses.replace(found, history=history))
    assert asked(strategy) == again


def test_without_a_remedy_for_the_cause_nothing_is_searched(remedies: Given) -> None:
    """Another knob would only hide it; with force it is turned."""
    remedies(remedy("a", "layers"))
    assert asked(build("rules", setting(diagnosed("collect_data")))) == []
    assert asked(build("rules", setting(HEALTHY))) == []
    assert asked(build("rules", setting(HEALTHY, force=True))) == ["a(1)"]


def test_the_search_covers_the_rest(remedies: Given) -> None:
    """After the finding's own remedies every other candidate, each once."""
    remedies(remedy("a", "layers"), remedy("b", "decay", (1, 2)), remedy("c", "inputs"))
    proposed = asked(build("rules", setting(diagnosed("a"))))
    assert proposed[0] == "a(1)"
    assert sorted(proposed) == ["a(1)", "b(1)", "b(2)", "c(1)"]


@pytest.mark.parametrize("name", ["random", "tpe"])
def test_blind_strategies_propose_everything_once(remedies: Given, name: str) -> None:
    """The same order in every session, whatever the diagnosis."""
    remedies(remedy("a", "layers", (1, 2, 3)), remedy("b", "decay", (1, 2)), remedy("c", "inputs"))
    proposed = asked(build(name, setting(diagnosed("b"))))
    assert sorted(proposed) == ["a(1)", "a(2)", "a(3)", "b(1)", "b(2)", "c(1)"]
    assert asked(build(name, setting(HEALTHY))) == proposed


def test_tpe_goes_where_the_gain_is(remedies: Given) -> None:
    """Of two remedies with twelve choices each, the one that gains is asked more often in the first sixteen."""
    many = tuple(float(n) for n in range(12))
    remedies(remedy("bad", "layers", many), remedy("good", "decay", many))
    first = asked(build("tpe", setting(HEALTHY)), {"bad": -1.0, "good": 1.0})[:16]
    assert sum(text.startswith("good") for text in first) > 8


def test_what_fits(remedies: Given) -> None:
    """Known, something new, and no part twice but layers; a remedy that is kept may get other parameters."""
    remedies(remedy("a", "layers"), remedy("b", "layers"), remedy("c", "decay"), remedy("d", "decay"))
    assert fits(change("a"), change("b"))
    assert fits(change("a"), change("a", 2.0))
    assert not fits(change("a"), change("a"))
    assert not fits(change("c"), change("d"))
    assert not fits(Plan(), change("unknown"))


def test_a_remedy_that_lacks_numbers_has_no_candidates() -> None:
    """Missing is no crash."""

    def lacking(*_: object) -> list[object]:
        raise Missing("grad_norm")

    made = remedy("a", "layers")
    made.module.candidates = lacking
    assert choices(made, HEALTHY, EVIDENCE) == []
