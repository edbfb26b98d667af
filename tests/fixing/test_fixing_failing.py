"""What goes wrong in a session of `fix`: in a trial, in the program, by a signal, and by what it was called with."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from worlds import HEALTHY, Given, World, change, diagnosed, gaining, names, noise, remedy, run

from advisor.errors import AdvisorError, PlanError, ScriptError
from advisor.plan import Plan
from advisor.store import Store


def test_a_trial_that_raises_is_a_row(store: Store, remedies: Given) -> None:
    """A crash in one trial, a remedy that cannot apply, one without a trace: all shown, and the good one kept."""
    remedies(
        remedy("crash", "layers"), remedy("foreign", "inputs"), remedy("ghost", "decay", took_effect=False),
        remedy("good", "schedule"),
    )  # fmt: skip

    def score(plan: Plan, seed: int) -> float | str:
        if names(plan)[-1:] == ["crash"]:
            return "ValueError: bad luck"
        if names(plan)[-1:] == ["foreign"]:
            return "CannotApply: foreign: no layer to change"
        return 0.5 + 0.2 * len(plan.steps) + noise(plan, seed)

    listed = diagnosed("crash", "foreign", "ghost", "good")
    done = run(World(store, score, lambda plan: HEALTHY if plan else listed))
    assert done.plan == change("good")
    rows = {str(t.plan): (t.verdict.kind, t.note) for t in done.session.trials if t.verdict and not t.kept}
    assert rows == {
        "crash(strength=1)": ("failed", "raised ValueError: bad luck"),
        "foreign(strength=1)": ("no_effect", "no layer to change"),
        "ghost(strength=1)": ("no_effect", ""),
    }
    assert done.session.advice == ("foreign(strength=1) cannot be applied here: no layer to change",)
    assert [()] == [t.scores for t in done.session.trials if t.plan == change("foreign")]


@pytest.mark.parametrize(
    ("reached", "says"),
    [("no_watch", "without calling advisor.watch"), ("ValueError: bad luck", "does not come to its end: ValueError")],
)
def test_a_program_that_cannot_be_watched(store: Store, remedies: Given, reached: str, says: str) -> None:
    """It is the user's to repair: the error shows the end of the log, and the session is marked."""
    remedies()
    with pytest.raises(ScriptError, match=says) as raised:
        run(World(store, lambda *_: reached, lambda _: HEALTHY))
    assert "ValueError: bad luck" in str(raised.value)
    assert json.loads(store.session_documents()[-1][2])["status"] == "failed"


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_keeps_what_there_is(store: Store, remedies: Given, by: signal.Signals) -> None:
    """Interrupted in the second stage: the first plan stays accepted, with its verdict and its file.

    A job scheduler's SIGTERM and a closed terminal do the same; afterwards they do what they did before.
    """
    remedies(remedy("one", "layers"), remedy("two", "inputs"))
    world = gaining(store, {"one": 0.2, "two": 0.1}, HEALTHY, interrupt_at=16, interrupt=by)
    done = run(world, budget=40)
    assert signal.getsignal(by) is (signal.default_int_handler if by == signal.SIGINT else signal.SIG_DFL)
    assert (done.session.status, done.plan) == ("interrupted", change("one"))
    assert done.final is not None
    assert Plan.load("advisor-plan.toml") == change("one")


def test_a_file_that_is_not_ours_is_never_overwritten(store: Store, remedies: Given) -> None:
    """Refused before anything is trained."""
    remedies()
    Path("advisor-plan.toml").write_text("version = 1\n")
    world = gaining(store, {})
    with pytest.raises(PlanError, match="was not written by `advisor fix`"):
        run(world)
    assert world.jobs == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seeds": 4}, "expected 5 to 20 seeds, found 4"),
        ({"strategy": "luck"}, "there is no strategy 'luck'.*random, rules, tpe"),
        ({"budget": 0}, "expected a budget"),
    ],
)
def test_wrong_usage(store: Store, remedies: Given, options: dict[str, Any], says: str) -> None:
    """Said before anything is trained."""
    remedies()
    with pytest.raises(AdvisorError, match=says):
        run(gaining(store, {}), **options)
