"""Findings over time from constructed diagnoses: what is said when, and when it is taken back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from advisor.diagnosis import Diagnosis, rank
from advisor.finding import Finding
from advisor.rulebook import Rule
from advisor.states import History, State, news


def rule(name: str, contradicts: tuple[str, ...] = ()) -> Rule:
    """A rule of which only the declarations matter."""
    return Rule(
        name=name,
        kind="fit",
        page="",
        needs=(),
        optional=(),
        remedies=(),
        probes=(),
        explains=(),
        symptoms=(),
        contradicts=contradicts,
        at_once=False,
        in_source=(),
        thresholds=(),
        function=lambda run: None,
        path=Path(f"{name}.py"),
    )


RULES = {name: rule(name) for name in ("cause", "symptom", "broken", "low")} | {"high": rule("high", ("low",))}


def finding(name: str, confidence: float = 0.9, **more: object) -> Finding:
    return Finding.model_validate({
        "message": f"It is {name}.", "numbers": (), "confidence": confidence, "rule": name, **more,
    })  # fmt: skip


CAUSE = finding("cause", 0.6, explains=("symptom",))
SYMPTOM = finding("symptom")
BROKEN = finding("broken", at_once=True)


def diagnosed(*findings: Finding) -> Diagnosis:
    return Diagnosis(status="problems" if findings else "healthy", findings=tuple(rank(findings)))


def follow(*looks: tuple[Finding, ...], history: History | None = None) -> tuple[History, list[list[str]]]:
    """One look after each epoch: the states at the end, and what was news at each."""
    history = history or History()
    said = []
    for findings in looks:
        later = history.after(diagnosed(*findings), history.epoch + 1, RULES)
        said.append([f"{'raised' if s.stands else 'cleared'} {s.rule}" for s in news(history, later)])
        history = later
    return history, said


def test_raised_by_the_second_look_and_cleared_by_the_second_without_it() -> None:
    """One diagnosis decides nothing, in either direction."""
    history, said = follow((SYMPTOM,), (SYMPTOM,), (SYMPTOM,), (), ())
    assert said == [[], ["raised symptom"], [], [], ["cleared symptom"]]
    assert history == History((State(SYMPTOM, seen=0, raised=1, missed=True, cleared=4),), epoch=4)


def test_a_single_look_is_forgotten() -> None:
    """Seen now and then, but never twice in a row: a finding that flickers is not said."""
    history, said = follow((SYMPTOM,), (), (SYMPTOM,), (), (SYMPTOM,))
    assert said == [[], [], [], [], []]
    assert history.suspected == (State(SYMPTOM, seen=4),)


def test_a_single_miss_does_not_clear() -> None:
    """What is back at the next look was there all along, and is not said again."""
    history, said = follow((SYMPTOM,), (SYMPTOM,), (), (SYMPTOM,), ())
    assert said == [[], ["raised symptom"], [], [], []]
    assert [state.raised for state in history.standing] == [1]


def test_the_same_data_confirm_nothing() -> None:
    """Two diagnoses after the same epoch are one."""
    history = History()
    for _ in range(5):
        history = history.after(diagnosed(SYMPTOM), 3, RULES)
    assert history == History((State(SYMPTOM, seen=3),), epoch=3)


def test_what_cannot_be_taken_back_is_said_at_once() -> None:
    """A NaN is raised by the first look, also in the middle of an epoch, while other findings wait for its end."""
    _, said = follow((BROKEN,))
    assert said == [["raised broken"]]
    before = follow((), ())[0]
    within = before.after(diagnosed(BROKEN, SYMPTOM), 1, RULES)
    assert [state.rule for state in within.standing] == ["broken"]
    assert within.suspected == ()
    assert within.epoch == before.epoch
    assert within.after(diagnosed(), 1, RULES) == within


def test_before_the_first_epoch() -> None:
    """A NaN in the first epoch is raised in epoch 0, of which none is complete."""
    history = History().after(diagnosed(BROKEN), -1, RULES)
    assert [state.raised for state in history.standing] == [0]
    assert history.epoch == -1


def test_what_was_said_is_taken_back_aloud() -> None:
    """A NaN that was raised in an epoch, and whose cause is confirmed at the end of it, gives way to the cause."""
    cause = finding("cause", 0.6, explains=("broken",))
    before = follow((cause,))[0].after(diagnosed(BROKEN), 0, RULES)
    after = before.after(diagnosed(cause, BROKEN), 1, RULES)
    assert [(s.rule, s.cleared) for s in news(before, after)] == [("cause", None), ("broken", 1)]


def test_one_finding_a_cause() -> None:
    """What another finding explains is never said beside it."""
    history, said = follow((CAUSE, SYMPTOM), (CAUSE, SYMPTOM), (CAUSE, SYMPTOM))
    assert said == [[], ["raised cause"], []]
    assert [state.rule for state in history.standing] == ["cause"]


def test_a_cause_that_comes_later_takes_the_symptom_over() -> None:
    """The symptom stays until its cause is confirmed; then one takes the other's place."""
    history, said = follow((SYMPTOM,), (SYMPTOM,), (CAUSE, SYMPTOM), (CAUSE, SYMPTOM), (CAUSE, SYMPTOM))
    assert said == [[], ["raised symptom"], [], ["raised cause", "cleared symptom"], []]
    assert [(s.rule, s.cleared, s.cause) for s in history.cleared] == [("symptom", 3, "cause")]


def test_a_symptom_outlives_its_cause() -> None:
    """What stays when its cause is over is a finding of its own."""
    _, said = follow((CAUSE, SYMPTOM), (CAUSE, SYMPTOM), (SYMPTOM,), (SYMPTOM,))
    assert said == [[], ["raised cause"], ["raised symptom"], ["cleared cause"]]


def test_what_is_said_at_once_waits_where_its_cause_stands() -> None:
    """The cause has been said: its NaN is not another finding."""
    cause = finding("cause", 0.6, explains=("broken",))
    _, said = follow((cause,), (cause,), (cause, BROKEN), (cause, BROKEN))
    assert said == [[], ["raised cause"], [], []]


def test_contradicting_findings_never_stand_together() -> None:
    """No diagnosis has both: the one is cleared when the other is confirmed."""
    history, said = follow((finding("low"),), (finding("low"),), (finding("high"),), (finding("high"),))
    assert said == [[], ["raised low"], [], ["raised high", "cleared low"]]
    assert [state.rule for state in history.standing] == ["high"]


def test_a_contradiction_that_is_raised_at_once_clears_at_once() -> None:
    """Also where the other was missed only once."""
    loud = finding("high", at_once=True)
    _, said = follow((finding("low"),), (finding("low"),), (loud,))
    assert said == [[], ["raised low"], ["raised high", "cleared low"]]


def test_the_surest_stands_first() -> None:
    """In the order in which a screen shows them."""
    looks = (finding("low", 0.5), finding("cause", 0.8), finding("broken", 0.6))
    assert [state.rule for state in follow(looks, looks)[0].standing] == ["cause", "broken", "low"]


def test_the_final_diagnosis_is_dated() -> None:
    """Findings that stand say when they were raised; others do not know."""
    history, _ = follow((SYMPTOM,), (SYMPTOM,))
    dated = history.dated(diagnosed(SYMPTOM, finding("low")))
    assert {f.rule: f.raised for f in dated.findings} == {"symptom": 1, "low": None}


def test_it_comes_back() -> None:
    """What is cleared and seen again is raised again, with a state of its own."""
    history, said = follow((SYMPTOM,), (SYMPTOM,), (), (), (SYMPTOM,), (SYMPTOM,))
    assert said[-1] == ["raised symptom"]
    first, second = history.states
    assert (first.cleared, second) == (3, State(SYMPTOM, seen=4, raised=5))
    assert replace(first, cleared=None).rule == second.rule
