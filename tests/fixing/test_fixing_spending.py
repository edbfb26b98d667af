"""What `fix` spends: no more than it was given, nothing twice, and as little as it can on what loses."""

from __future__ import annotations

import pytest
from worlds import EPOCHS, HEALTHY, STEPS, Given, World, change, diagnosed, gaining, noise, remedy, run

from advisor.plan import Plan
from advisor.store import Store


@pytest.mark.parametrize("budget", [1, 4, 7, 12, 15, 20, 33])
def test_the_budget_is_kept(store: Store, remedies: Given, budget: int) -> None:
    """No session spends more than it was given, whatever helps."""
    remedies(*(remedy(name, "layers", (1.0, 2.0, 3.0)) for name in "abc"))
    world = gaining(store, {"a": 0.0, "b": 0.1, "c": 0.2})
    done = run(world, budget=budget)
    assert done.session.spent <= budget
    assert sum(epochs(world)) / EPOCHS == pytest.approx(done.session.spent)


def epochs(world: World) -> list[int]:
    session = world.store.session_documents()[-1][0]
    return [world.store.record(info.id).epochs_seen for info in world.store.runs_of(session)]


def test_no_training_is_done_twice(store: Store, remedies: Given) -> None:
    """Each plan runs at most once on a seed, and the budget pays for what ran."""
    remedies(remedy("good", "layers"), remedy("idle", "decay"))
    world = gaining(store, {"good": 0.2, "idle": 0.0}, HEALTHY)
    done = run(world)
    seen = [(str(job.plan), job.seed) for job in world.jobs]
    assert len(seen) == len(set(seen))
    assert done.session.spent <= len(seen)


def test_losers_are_stopped_early_and_cost_less(store: Store, remedies: Given) -> None:
    """A clear loser is cut in the second half of its run, and the table says when."""
    remedies(remedy("bad", "layers"))
    done = run(gaining(store, {"bad": -0.4}))
    (bad,) = [trial for trial in done.session.trials if trial.plan]
    assert (bad.note, bad.epochs_cost, bad.behind) == ("stopped at epoch 4", 4 / 8, True)
    assert bad.verdict is not None
    assert bad.verdict.kind == "hurt"


def test_a_loser_that_counts_steps_was_stopped_at_one(store: Store, remedies: Given) -> None:
    """Windows of steps are ours, and not the user's."""
    remedies(remedy("bad", "layers"))
    done = run(gaining(store, {"bad": -0.4}, info={"step_based": True}))
    (bad,) = [trial for trial in done.session.trials if trial.plan]
    assert bad.note == f"stopped at step {4 * STEPS}"


def test_a_hopeless_confirmation_is_stopped(store: Store, remedies: Given) -> None:
    """Lucky on the screening seed only: with a budget for no second look, one worse seed ends it."""
    remedies(remedy("lucky", "layers"))

    def score(plan: Plan, seed: int) -> float:
        return 0.5 + noise(plan, seed) + (0.3 if seed == 0 else -0.1) * len(plan.steps)

    world = World(store, score, lambda _: diagnosed("lucky"))
    done = run(world, budget=12)
    assert (world.trainings(change("lucky")), bool(done)) == (2, False)
    assert "stopped after 1 of 5 seeds" in done.verdicts[-1].reason


def test_an_undecided_confirmation_goes_on_to_ten_seeds(store: Store, remedies: Given) -> None:
    """One of five worse, the gain far above the noise, and budget enough: a second look decides."""
    remedies(remedy("good", "layers"))

    def score(plan: Plan, seed: int) -> float:
        return 0.5 + noise(plan, seed) + (-0.02 if seed == 3 else 0.2) * len(plan.steps)

    done = run(World(store, score, lambda plan: HEALTHY if plan else diagnosed("good")), budget=30)
    assert done.plan == change("good")
    assert done.final is not None
    assert done.final.seeds == tuple(range(1, 11))


def test_a_second_look_that_is_given_up_says_how_many_seeds_it_wanted(store: Store, remedies: Given) -> None:
    """All seeds of the second look are worse: ten were wanted, and not the five of the first."""
    remedies(remedy("fading", "layers"))

    def score(plan: Plan, seed: int) -> float:
        return 0.5 + noise(plan, seed) + (-0.2 if seed == 3 or seed > 5 else 0.2) * len(plan.steps)

    done = run(World(store, score, lambda _: diagnosed("fading")), budget=30)
    assert not done.plan
    assert " of 10 seeds: no further seed could bring p to 0.0188" in done.verdicts[-1].reason


def test_a_second_look_that_gains_too_little_says_so(store: Store, remedies: Given) -> None:
    """Better on every seed and never clearly: p is low enough already, and the gain will not come out of the noise."""
    remedies(remedy("faint", "layers"))

    def score(plan: Plan, seed: int) -> float:
        gain = {0: 0.12, 3: 0.01}.get(seed, 0.09 if seed < 6 else 0.0)
        return 0.5 + 0.1 * (seed % 3) + gain * len(plan.steps)

    done = run(World(store, score, lambda _: diagnosed("faint")), budget=30)
    assert not done.plan
    said = "stopped after 6 of 10 seeds: a gain of 2 spreads of the baseline is no longer to be expected"
    assert said == done.verdicts[-1].reason


def test_time_is_kept(store: Store, remedies: Given) -> None:
    """A session without time left trains the first baseline and ends."""
    remedies(remedy("good", "layers"))
    world = gaining(store, {"good": 0.2})  # a run says that it took 8 s
    run(world, seconds=1)
    assert len(world.jobs) == 1


@pytest.mark.parametrize(("budget", "says"), [(6, True), (12, False)])
def test_a_budget_that_only_the_baseline_fits_in_says_what_is_missing(
    store: Store, remedies: Given, budget: int, says: bool
) -> None:
    """Six trainings are a baseline on six seeds; whoever gave them hears how many more a remedy takes."""
    remedies(remedy("one", "layers"))
    done = run(gaining(store, {"one": 0.2}), budget=budget)
    missing = (
        "nothing was tried: the budget went into the baseline, and a remedy takes 6 trainings more, one to screen it "
        "and 5 to confirm it"
    )
    assert says == (missing in done.session.notes)
    assert says == (not done.plan)
