"""What a training is said to cost in a session of `fix`, whatever runs beside it and however long it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import pytest
from worlds import EPOCHS, HEALTHY, Factor, Given, World, change, diagnosed, gaining, names, noise, remedy, run

from advisor.diagnosis import Diagnosis
from advisor.plan import Plan
from advisor.store import Store
from advisor.trial import Job, Ran


def test_jobs_run_together(store: Store, remedies: Given) -> None:
    """With three at a time the same plan is accepted."""
    remedies(remedy("good", "layers"))
    assert run(gaining(store, {"good": 0.2}, HEALTHY), jobs=3).plan == change("good")


def test_only_seeds_that_are_asked_for_next_run_beside_the_first(store: Store, remedies: Given) -> None:
    """However many jobs there is room for."""
    remedies(remedy("good", "layers"))
    world = World(store, lambda plan, seed: 0.5 + noise(plan, seed), lambda _: HEALTHY)
    run(world, jobs=64)
    assert [0, 1, 2, 3, 4, 5] == [job.seed for job in world.jobs]


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_a_seed_that_ran_beside_the_first_is_paid_for_once(store: Store, remedies: Given, jobs: int) -> None:
    """A budget for the baseline on all its seeds is enough for any number of jobs."""
    remedies(remedy("good", "layers"))
    done = run(gaining(store, {"good": 0.2}), budget=6, jobs=jobs)
    assert (6, (1, 2, 3, 4, 5)) == (done.session.spent, done.session.trials[0].seeds)


class ShortBeside(World):
    """Of trainings that run side by side the last one ends first; the unchanged program stops itself on seed 1."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Ran]:
        for job in list(jobs)[::-1]:
            self.epochs = lambda plan, seed=job.seed: EPOCHS if plan or seed != 1 else EPOCHS // 4
            yield from super().run([job])


def test_costs_are_measured_in_the_first_run_whichever_ends_first(store: Store, remedies: Given) -> None:
    """The run beside it was no measure yet when it ended; what was said of the first run is kept for going on."""
    remedies(remedy("good", "layers"))
    world = ShortBeside(
        store, lambda plan, seed: 0.5 + 0.2 * len(plan.steps) + noise(plan, seed), lambda _: diagnosed("good")
    )
    trainings = run(world, jobs=2).session.trainings
    assert [(1, False), (0, True)] == [(training.seed, training.diagnosis is not None) for training in trainings[:2]]
    assert {1.0} == {training.cost for training in trainings}


class Probed(World):
    """The probes of the first run take as long as its training does."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Ran]:
        for ran in super().run(jobs):
            yield dataclasses.replace(ran, seconds=2 * ran.seconds) if ran.job.probes else ran


def test_probes_are_no_part_of_what_a_run_costs(store: Store, remedies: Given) -> None:
    """A plan that takes no more time than the program stands at ×1 in the table."""
    remedies(remedy("good", "layers"))
    world = Probed(store, lambda plan, seed: 0.5 + noise(plan, seed), lambda _: diagnosed("good"))
    assert {1.0} == {trial.cost for trial in run(world).session.trials}


def test_a_plan_with_fewer_steps_in_an_epoch_costs_its_epochs(store: Store, remedies: Given) -> None:
    """A quarter of the steps, as with accumulated gradients, is no quarter of the training."""
    remedies(remedy("good", "layers"))
    world = gaining(store, {"good": 0.2}, HEALTHY, steps=lambda plan: 2 if plan else 8)
    assert {1.0} == {training.cost for training in run(world).session.trainings}


def test_a_longer_plan_is_shown_beside_the_plain_run_at_equal_length(store: Store, remedies: Given) -> None:
    """More epochs and another remedy: the control tells what the time alone brings."""
    remedies(remedy("more", "epochs", (2.0,), parameters=Factor), remedy("other", "layers"))

    def score(plan: Plan, seed: int) -> float:
        return 0.5 + 0.1 * len(plan.steps) + noise(plan, seed)

    def length(plan: Plan) -> int:
        return EPOCHS * (2 if "more" in names(plan) else 1)

    done = run(World(store, score, lambda _: diagnosed("more", "other"), length), budget=56)
    assert set(names(done.plan)) == {"more", "other"}
    (control,) = [trial for trial in done.session.trials if trial.stage == "control"]
    assert (control.plan, control.epochs_cost) == (Plan.of("more", factor=2.0), 2)
    assert "at the same number of epochs the plan's gain" in done.session.notes[-1]
    assert done.session.notes[-1].endswith("(helped); that takes 16 s a run, the plan 16 s")


def test_what_the_control_will_take_is_kept_from_later_stages(store: Store, remedies: Given) -> None:
    """Whatever else there is to try on top of a longer plan, the plain run at equal length is still trained."""
    tries = [0.5 + n / 10 for n in range(20)]
    remedies(
        remedy("both", "epochs", (2.0,), parameters=Factor), remedy("other", "layers"), remedy("idle", "decay", tries)
    )

    def score(plan: Plan, seed: int) -> float:
        return 0.5 + 0.2 * (names(plan).count("both") + names(plan).count("other")) + noise(plan, seed)

    def length(plan: Plan) -> int:
        return EPOCHS * (2 if "both" in names(plan) else 1)

    def found(plan: Plan) -> Diagnosis:
        return diagnosed("idle" if len(plan.steps) > 1 else "other", "both")

    done = run(World(store, score, found, length), budget=43)  # 33 without the control, and it takes 10
    assert set(names(done.plan)) == {"both", "other"}
    assert done.session.trials[-1].stage == "control"


def test_a_plan_that_only_trains_longer_says_so(store: Store, remedies: Given) -> None:
    """Its reason names the length."""
    remedies(remedy("more", "epochs", (2.0,), parameters=Factor))
    world = gaining(store, {"more": 0.2}, HEALTHY, epochs=lambda plan: EPOCHS * (2 if plan else 1))
    final = run(world, budget=40).final
    assert final is not None
    assert final.reason.endswith("it does nothing but train 2 times as long")
