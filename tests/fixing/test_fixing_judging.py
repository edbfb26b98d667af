"""By which number `fix` judges: the finding's, the user's, or another one where a finding doubts it."""

from __future__ import annotations

import pytest
from worlds import HEALTHY, Given, World, change, diagnosed, gaining, noise, remedy, run

from advisor.diagnosis import Diagnosis
from advisor.errors import AdvisorError
from advisor.plan import Plan
from advisor.store import Store


def test_the_finding_names_the_metric_in_which_it_shows(store: Store, remedies: Given) -> None:
    """val_loss where the first finding says so, and the user's own above that."""
    remedies(remedy("good", "layers"))
    found = diagnosed("good").findings[0].model_copy(update={"metric": "val_loss"})
    diagnosis = Diagnosis(status="problems", findings=(found,))
    done = run(gaining(store, {"good": 0.2}, diagnosis))
    assert (done.session.metric, done.session.mode) == ("val_accuracy", "max")
    world = World(store, lambda plan, seed: 0.5 + noise(plan, seed), lambda _: diagnosis)
    assert (run(world).session.metric, run(world, metric="val_accuracy").session.metric) == ("val_loss", "val_accuracy")


def test_a_metric_that_never_appeared(store: Store, remedies: Given) -> None:
    """The error lists what there is."""
    remedies(remedy("good", "layers"))
    with pytest.raises(AdvisorError, match=r"'f1' never appeared.*val_accuracy"):
        run(gaining(store, {"good": 0.2}), metric="f1")


def doubtful(judge: str) -> Diagnosis:
    """A finding that puts the run's own score in doubt."""
    found = diagnosed("good", rule="misreports")
    return found.model_copy(update={"findings": (found.findings[0].model_copy(update={"judge": judge}),)})


def test_a_metric_in_doubt_is_not_the_judge(store: Store, remedies: Given) -> None:
    """The user's val_accuracy falls with the repair, the independent number rises: it is accepted, and said why."""
    remedies(remedy("good", "layers"))

    def score(plan: Plan, seed: int) -> float:
        return (0.7 if plan else 0.5) + noise(plan, seed)

    world = World(store, score, lambda plan: HEALTHY if plan else doubtful("independent_accuracy"))
    world.series = {"val_accuracy": -1.0, "independent_accuracy": 1.0}
    world.info = {"metric": "val_accuracy", "mode": "max"}
    done = run(world)
    assert done.plan == change("good")
    assert done.session.metric == "independent_accuracy"
    assert any(
        note.startswith("val_accuracy is not the judge here, since misreports puts it in doubt")
        for note in done.session.notes
    )


@pytest.mark.parametrize(("judge", "measured"), [("independent_accuracy", True), ("", False)])
def test_only_runs_that_are_judged_by_our_own_number_measure_it(
    store: Store, remedies: Given, judge: str, *, measured: bool
) -> None:
    """The first run, whose metric is not known before it, does in any case: a verdict may have to go by it."""
    remedies(remedy("good", "layers"))
    diagnosis = doubtful(judge) if judge else diagnosed("good")
    world = World(store, lambda plan, seed: (0.7 if plan else 0.5) + noise(plan, seed), lambda _: diagnosis)
    world.series = {"val_accuracy": 1.0, "independent_accuracy": 1.0}
    run(world)
    first, *rest = world.jobs
    assert 0 < first.judging
    assert {measured} == {job.judging > first.judging for job in rest}
    assert {measured} == {job.judging > 0 for job in rest}


def test_a_doubt_that_nothing_settles_leaves_the_run_alone(store: Store, remedies: Given) -> None:
    """There is no number to judge by: nothing is tried, and the session says so."""
    remedies(remedy("good", "layers"))
    world = World(store, lambda plan, seed: 0.5 + noise(plan, seed), lambda _: doubtful(""))
    done = run(world)
    assert len(world.jobs) == 1
    assert not done.plan
    assert done.session.notes == (
        "misreports puts val_accuracy in doubt, and nothing else in this run measures what it should: no plan can be "
        "judged before that is mended",
    )


def test_a_metric_that_was_asked_for_judges_in_spite_of_a_doubt(store: Store, remedies: Given) -> None:
    """metric= is the user's word; the doubt is noted."""
    remedies(remedy("good", "layers"))
    world = World(store, lambda plan, seed: (0.7 if plan else 0.5) + noise(plan, seed), lambda _: doubtful(""))
    done = run(world, metric="val_accuracy")
    assert done.plan == change("good")
    assert "misreports puts val_accuracy in doubt; it is the judge all the same, since it was asked for" in (
        done.session.notes
    )
