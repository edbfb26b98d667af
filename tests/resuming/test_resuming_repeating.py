"""A session that goes on repeats only what was under way or what it failed with, and counts all that was spent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from interruptions import Killed, killed, made, score, stored, world
from worlds import HEALTHY, World, change, run

from advisor.errors import AdvisorError
from advisor.plan import Plan
from advisor.resuming import Replay, noted, told_again
from advisor.session import Training
from advisor.trial import Job, Ran


def test_what_nobody_asks_for_again_was_spent_all_the_same() -> None:
    """Charged once: where the search goes another way, or when it is asked for after all."""
    plan, job = change("good"), Job(1, change("good"), 0)
    trained = [_training(plan, 0, 0.5), _training(plan, 1, 0.25), _training(Plan(), 1, 1.0)]
    replay = Replay(trained)
    assert [(job, trained[0], 0.5)] == replay.take([job])
    assert [] == replay.take([job])
    assert (1.25, 0.0) == (replay.rest(), replay.rest())
    assert [0.0] == [cost for _, _, cost in replay.take([Job(0, Plan(), 1)])]


def test_a_training_that_was_stopped_answers_only_who_may_be_stopped() -> None:
    """A confirmation of the same plan on the same seed needs the whole of it."""
    from advisor.assignment import Rival

    stopped = _training(change("good"), 0, 0.5).model_copy(update={"status": "pruned"})
    whole = _training(change("good"), 0, 1.0)
    replay = Replay([stopped, whole])
    job = Job(1, change("good"), 0)
    assert [whole] == [training for _, training, _ in replay.take([job])]
    rival = Job(1, change("good"), 0, rival=Rival({}))
    assert [stopped] == [training for _, training, _ in replay.take([rival])]


def test_a_training_is_told_again_as_it_was() -> None:
    """An error of ours among it."""
    error = AdvisorError("what", context="where", hint="next")
    ran = Ran(Job(3, change("good"), 2), None, "no_watch", "KeyError: x", 4.0, 0.5, Path(os.devnull), error)
    again = told_again(noted(ran, 1.0, 9.0), ran.job)
    assert (str(error), type(error)) == (str(again.ours), type(again.ours))
    assert (ran.job, ran.status, ran.error, ran.seconds, "") == (
        again.job,
        again.status,
        again.error,
        again.seconds,
        again.tail,
    )


def test_what_was_killed_and_what_it_failed_with_is_repeated() -> None:
    """A reboot kills a training before it kills us; and a session that failed goes on where the cause was mended."""
    store = made("a.db")
    fail = True

    def mended(plan: Plan, seed: int) -> float | str:
        return "OSError: no space left" if fail else score(plan, seed)

    with pytest.raises(AdvisorError, match="no space left"):
        run(World(store, mended, lambda _: HEALTHY))
    fail = False
    left = stored(store)
    assert ("failed", ["failed"]) == (left.status, [t.status for t in left.trainings])
    done = run(World(store, mended, lambda _: HEALTHY), resume=True)
    assert ("finished", None, ["finished"]) == (
        done.session.status, done.session.error, [t.status for t in done.session.trainings]
    )  # fmt: skip


def test_what_it_failed_with_is_repeated_though_another_training_ended_after_it() -> None:
    """The first run raises, the one beside it comes to its end: only the first is made again."""
    store = made("a.db")
    fail = True

    def mended(plan: Plan, seed: int) -> float | str:
        return "OSError: no space left" if fail and seed == 0 else score(plan, seed)

    with pytest.raises(AdvisorError, match="no space left"):
        run(World(store, mended, lambda _: HEALTHY), jobs=2)
    assert ["failed", "finished"] == [training.status for training in stored(store).trainings]
    fail = False
    second = World(store, mended, lambda _: HEALTHY)
    assert "finished" == run(second, resume=True).session.status
    assert [0] == [job.seed for job in second.jobs]


def test_runs_that_were_under_way_are_told_that_they_ended() -> None:
    """They are interrupted, and nothing that they measured is lost."""
    store = made("a.db")
    first = world(store)
    first.off_at = 2
    with pytest.raises(Killed, match="power"):
        run(first)
    killed(stored(store), store)
    under_way = store.runs_of(1)[0].model_copy(update={"status": "running", "ended": None})
    under_way = under_way.model_copy(update={"id": store.add_run(under_way)})
    run(world(store), resume=True)
    assert "interrupted" == store.record(under_way.id).info.status


def _training(plan: Plan, seed: int, cost: float) -> Training:
    return Training(
        trial=1, plan=plan, seed=seed, run=None, status="finished", error=None, seconds=1.0, start_seconds=0.0,
        cost=cost, elapsed=1.0,
    )  # fmt: skip
