"""`fix` over worlds whose truth is known: what it accepts, what it leaves alone, and what it spends."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from worlds import EPOCHS, HEALTHY, Factor, World, change, diagnosed, remedy

from advisor.diagnosis import Diagnosis
from advisor.errors import AdvisorError, PlanError, ScriptError
from advisor.events import Accepted, Event, TrialDone
from advisor.fixing import Fix, fix
from advisor.plan import Plan
from advisor.remedies import Remedy, load_remedies
from advisor.session import FixSession
from advisor.store import Store
from advisor.trial import Job, Ran

Given = Callable[..., None]


@pytest.fixture
def remedies(monkeypatch: pytest.MonkeyPatch) -> Given:
    """Makes these the only remedies that there are."""

    def only(*made: Remedy) -> None:
        known = load_remedies()
        for name in list(known):
            monkeypatch.delitem(known, name)
        for one in made:
            monkeypatch.setitem(known, one.name, one)

    return only


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    return Store(str(tmp_path / "advisor.db"))


def noise(plan: Plan, seed: int, size: float = 0.01) -> float:
    """The same for a plan and a seed in every run of the tests."""
    return float(np.random.default_rng([seed, *str(plan).encode()]).normal(0, size))


def names(plan: Plan) -> list[str]:
    return [step.remedy for step in plan.steps]


def program() -> None:
    """Stands for the user's function; the world knows what it reaches."""


def run(world: World, **options: Any) -> Fix:
    return fix(program, store=world.store, executor=world, report=False, **options)


def made(store: Store, gains: dict[str, float], after: Diagnosis | None = None, **options: Any) -> World:
    """Accuracy 0.5 and what each remedy adds; diagnosed with a fault that all of them answer."""

    def score(plan: Plan, seed: int) -> float:
        return 0.5 + sum(gains[name] for name in names(plan)) + noise(plan, seed)

    def diagnosis(plan: Plan) -> Diagnosis:
        return after if plan and after is not None else diagnosed(*gains)

    return World(store, score, diagnosis, **options)


# ------------------------------------------------------------------------------------------------------ accepting


def test_what_helps_is_kept(store: Store, remedies: Given) -> None:
    """The helpful one of three is accepted on five fresh seeds, and its file can be read back."""
    remedies(remedy("good", "layers"), remedy("bad", "inputs"), remedy("idle", "decay"))
    world = made(store, {"bad": -0.2, "good": 0.2, "idle": 0.0}, HEALTHY)
    done = run(world)
    assert done.plan == change("good")
    assert done.final is not None
    assert (done.final.kind, done.final.seeds, done.final.p) == ("helped", (1, 2, 3, 4, 5), 1 / 32)
    assert Plan.load("advisor-plan.toml") == done.plan
    assert done.session.plan_file == "advisor-plan.toml"


def test_nothing_is_confirmed_on_the_seed_that_screened(store: Store, remedies: Given) -> None:
    """Seed 0 screens, the others confirm."""
    remedies(remedy("good", "layers"))
    done = run(made(store, {"good": 0.2}, HEALTHY))
    assert [(t.stage, t.seeds) for t in done.session.trials] == [
        ("baseline", (1, 2, 3, 4, 5)),
        ("confirm", (1, 2, 3, 4, 5)),
    ]


def test_no_training_is_done_twice(store: Store, remedies: Given) -> None:
    """Each plan runs at most once on a seed, and the budget pays for what ran."""
    remedies(remedy("good", "layers"), remedy("idle", "decay"))
    world = made(store, {"good": 0.2, "idle": 0.0}, HEALTHY)
    done = run(world)
    seen = [(str(job.plan), job.seed) for job in world.jobs]
    assert len(seen) == len(set(seen))
    assert done.session.spent <= len(seen)


def test_two_that_help_are_composed(store: Store, remedies: Given) -> None:
    """The second is compared with the first, not with the unchanged program."""
    remedies(remedy("one", "layers"), remedy("two", "inputs"))
    done = run(made(store, {"one": 0.2, "two": 0.1}, HEALTHY), budget=40)
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
    world = made(store, {"lower": 0.2, "higher": 0.1})
    assert run(world, budget=40).plan == change("lower")
    assert not any(len(job.plan.steps) > 1 for job in world.jobs)


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


# ------------------------------------------------------------------------------------------------ leaving alone


def test_noise_is_not_accepted(store: Store, remedies: Given) -> None:
    """Four remedies that do nothing: no plan, no file, and verdicts that say so."""
    idle = ["a", "b", "c", "d"]
    remedies(*(remedy(name, "layers", (1.0, 2.0)) for name in idle))
    done = run(made(store, dict.fromkeys(idle, 0.0)))
    assert not done
    assert not Path("advisor-plan.toml").exists()
    assert {verdict.kind for verdict in done.verdicts} <= {"no_difference", "hurt", "inconclusive"}


def test_a_healthy_run_is_left_alone(store: Store, remedies: Given) -> None:
    """One training, no trial, and a note; with force it is searched."""
    remedies(remedy("good", "layers"))
    world = World(store, lambda plan, seed: 0.9 + 0.05 * len(plan.steps) + noise(plan, seed, 0.001), lambda _: HEALTHY)
    done = run(world)
    assert (len(world.jobs), done.plan) == (1, Plan())
    assert "healthy" in done.session.notes[0]
    assert run(world, force=True).plan == change("good")


def test_without_evidence_nothing_is_tried(store: Store, remedies: Given) -> None:
    """The diagnosis says why, and the session repeats it."""
    remedies(remedy("good", "layers"))
    diagnosis = Diagnosis(status="not_enough_evidence", reason="one epoch")
    world = World(store, lambda *_: 0.5, lambda _: diagnosis)
    assert run(world).session.notes == ("not enough evidence, so nothing was tried: one epoch",)


def test_training_loss_judges_nothing(store: Store, remedies: Given) -> None:
    """Without validation the session ends with what to do about it."""
    remedies(remedy("good", "layers"))
    world = World(store, lambda *_: 0.5, lambda _: diagnosed("good"), series={})
    done = run(world)
    assert len(world.jobs) == 1
    assert "pass val=" in done.session.notes[0]


def test_what_no_remedy_does_is_advice(store: Store, remedies: Given) -> None:
    """A finding without a remedy that we have gives its first step, and no search hides it."""
    remedies(remedy("other", "layers"))
    done = run(World(store, lambda plan, seed: 0.5 + noise(plan, seed), lambda _: diagnosed("collect_data")))
    assert done.session.advice == ("fault: Repair it.",)
    assert [trial.stage for trial in done.session.trials] == ["baseline"]


# ------------------------------------------------------------------------------------------------------- spending


@pytest.mark.parametrize("budget", [1, 4, 7, 12, 15, 20, 33])
def test_the_budget_is_kept(store: Store, remedies: Given, budget: int) -> None:
    """No session spends more than it was given, whatever helps."""
    remedies(*(remedy(name, "layers", (1.0, 2.0, 3.0)) for name in "abc"))
    world = made(store, {"a": 0.0, "b": 0.1, "c": 0.2})
    done = run(world, budget=budget)
    assert done.session.spent <= budget
    assert sum(epochs(world)) / EPOCHS == pytest.approx(done.session.spent)


def epochs(world: World) -> list[int]:
    session = world.store.session_documents()[-1][0]
    return [world.store.record(info.id).epochs_seen for info in world.store.runs_of(session)]


def test_losers_are_stopped_early_and_cost_less(store: Store, remedies: Given) -> None:
    """A clear loser is cut in the second half of its run, and the table says when."""
    remedies(remedy("bad", "layers"))
    done = run(made(store, {"bad": -0.4}))
    (bad,) = [trial for trial in done.session.trials if trial.plan]
    assert (bad.note, bad.epochs_cost) == ("stopped at epoch 4", 4 / 8)
    assert bad.verdict is not None
    assert bad.verdict.kind == "hurt"


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


def test_time_is_kept(store: Store, remedies: Given) -> None:
    """A session without time left trains the first baseline and ends."""
    remedies(remedy("good", "layers"))
    world = made(store, {"good": 0.2})  # a run says that it took 8 s
    run(world, seconds=1)
    assert len(world.jobs) == 1


def test_a_longer_plan_is_shown_beside_the_plain_run_at_equal_length(store: Store, remedies: Given) -> None:
    """More epochs and another remedy: the control tells what the time alone brings."""
    remedies(remedy("more", "epochs", (2.0,), parameters=Factor), remedy("other", "layers"))

    def score(plan: Plan, seed: int) -> float:
        return 0.5 + 0.1 * len(plan.steps) + noise(plan, seed)

    def length(plan: Plan) -> int:
        return EPOCHS * (2 if "more" in names(plan) else 1)

    done = run(World(store, score, lambda _: diagnosed("more", "other"), length), budget=80)
    assert set(names(done.plan)) == {"more", "other"}
    (control,) = [trial for trial in done.session.trials if trial.stage == "control"]
    assert (control.plan, control.epochs_cost) == (Plan.of("more", factor=2.0), 2)
    assert "at the same number of epochs the plan's gain" in done.session.notes[-1]
    assert done.session.notes[-1].endswith("(helped); that takes 16 s a run, the plan 16 s")


def test_what_could_never_be_confirmed_is_advice(store: Store, remedies: Given) -> None:
    """Eight times the length, in a budget of twenty: said, and not begun."""
    remedies(remedy("more", "epochs", (8.0,), parameters=Factor))
    world = made(store, {"more": 0.2}, epochs=lambda plan: EPOCHS * (8 if plan else 1))
    done = run(world)
    assert not any(job.plan for job in world.jobs)
    assert done.session.advice[0].startswith(
        "more(factor=8) was not tried: to prove it takes a budget of 48 trainings more"
    )


def test_a_plan_that_only_trains_longer_says_so(store: Store, remedies: Given) -> None:
    """Its reason names the length."""
    remedies(remedy("more", "epochs", (2.0,), parameters=Factor))
    world = made(store, {"more": 0.2}, HEALTHY, epochs=lambda plan: EPOCHS * (2 if plan else 1))
    final = run(world, budget=40).final
    assert final is not None
    assert final.reason.endswith("it does nothing but train 2 times as long")


# --------------------------------------------------------------------------------------------------- what goes wrong


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
            return "CannotApply: no layer to change"
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
    world = made(store, {"one": 0.2, "two": 0.1}, HEALTHY, interrupt_at=16, interrupt=by)
    done = run(world, budget=40)
    assert signal.getsignal(by) is (signal.default_int_handler if by == signal.SIGINT else signal.SIG_DFL)
    assert (done.session.status, done.plan) == ("interrupted", change("one"))
    assert done.final is not None
    assert Plan.load("advisor-plan.toml") == change("one")


@pytest.mark.parametrize(("budget", "says"), [(6, True), (12, False)])
def test_a_budget_that_only_the_baseline_fits_in_says_what_is_missing(
    store: Store, remedies: Given, budget: int, says: bool
) -> None:
    """Six trainings are a baseline on six seeds; whoever gave them hears how many more a remedy takes."""
    remedies(remedy("one", "layers"))
    done = run(made(store, {"one": 0.2}), budget=budget)
    missing = (
        "nothing was tried: the budget went into the baseline, and a remedy takes 6 trainings more, one to screen it "
        "and 5 to confirm it"
    )
    assert says == (missing in done.session.notes)
    assert says == (not done.plan)


def test_a_file_that_is_not_ours_is_never_overwritten(store: Store, remedies: Given) -> None:
    """Refused before anything is trained."""
    remedies()
    Path("advisor-plan.toml").write_text("version = 1\n")
    world = made(store, {})
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
        run(made(store, {}), **options)


def test_a_metric_that_never_appeared(store: Store, remedies: Given) -> None:
    """The error lists what there is."""
    remedies(remedy("good", "layers"))
    with pytest.raises(AdvisorError, match=r"'f1' never appeared.*val_accuracy"):
        run(made(store, {"good": 0.2}), metric="f1")


# ------------------------------------------------------------------------------------------------ metric, strategies


def test_the_finding_names_the_metric_in_which_it_shows(store: Store, remedies: Given) -> None:
    """val_loss where the first finding says so, and the user's own above that."""
    remedies(remedy("good", "layers"))
    found = diagnosed("good").findings[0].model_copy(update={"metric": "val_loss"})
    diagnosis = Diagnosis(status="problems", findings=(found,))
    done = run(made(store, {"good": 0.2}, diagnosis))
    assert (done.session.metric, done.session.mode) == ("val_accuracy", "max")
    world = World(store, lambda plan, seed: 0.5 + noise(plan, seed), lambda _: diagnosis)
    assert (run(world).session.metric, run(world, metric="val_accuracy").session.metric) == ("val_loss", "val_accuracy")


@pytest.mark.parametrize("strategy", ["random", "tpe"])
def test_the_other_strategies_run_the_same_loop(store: Store, remedies: Given, strategy: str) -> None:
    """Blind to the diagnosis, they find a remedy that no finding names."""
    remedies(*(remedy(name, "layers") for name in ("a", "b")), remedy("good", "inputs"))

    def score(plan: Plan, seed: int) -> float:
        return 0.5 + 0.2 * ("good" in names(plan)) + noise(plan, seed)

    assert run(World(store, score, lambda _: diagnosed("a")), strategy=strategy).plan == change("good")


def test_the_rules_hand_over_to_the_search(store: Store, remedies: Given) -> None:
    """When the diagnosis has no more to try, the rest of the budget goes to the other remedies."""
    remedies(remedy("idle", "layers"), remedy("good", "inputs"))

    def score(plan: Plan, seed: int) -> float:
        return 0.5 + 0.2 * ("good" in names(plan)) + noise(plan, seed)

    assert run(World(store, score, lambda _: diagnosed("idle")), budget=30).plan == change("good")


# --------------------------------------------------------------------------------------------------- what it leaves


def test_the_store_has_the_session(store: Store, remedies: Given) -> None:
    """The document is what `fix` returned, and events tell of every trial."""
    remedies(remedy("good", "layers"), remedy("<b>", "inputs"))
    events: list[Event] = []
    done = run(made(store, {"good": 0.2, "<b>": -0.1}, HEALTHY), on_event=events.append)
    number, status, document = store.session_documents()[-1]
    assert (number, status) == (done.session.id, "finished")
    assert FixSession.model_validate_json(document) == done.session
    assert [event.plan for event in events if isinstance(event, Accepted)] == [done.plan]
    told = {event.trial.number for event in events if isinstance(event, TrialDone)}
    assert told == {trial.number for trial in done.session.trials}
    assert list(done.table()["verdict"]) == ["", "helped", "hurt"]
    assert "&lt;b&gt;" in done._repr_html_()
    assert "<b>" not in done._repr_html_()


def test_jobs_run_together(store: Store, remedies: Given) -> None:
    """With three at a time the same plan is accepted."""
    remedies(remedy("good", "layers"))
    assert run(made(store, {"good": 0.2}, HEALTHY), jobs=3).plan == change("good")


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
    done = run(made(store, {"good": 0.2}), budget=6, jobs=jobs)
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
    world = made(store, {"good": 0.2}, HEALTHY, steps=lambda plan: 2 if plan else 8)
    assert {1.0} == {training.cost for training in run(world).session.trainings}


def test_a_fault_of_one_seed_is_noted(store: Store, remedies: Given) -> None:
    """Found on the screening seed and on no other."""
    remedies(remedy("good", "layers"))
    world = made(store, {"good": 0.0})
    calls: list[int] = []

    def diagnosis(_: Plan) -> Diagnosis:
        calls.append(1)
        return diagnosed("good") if len(calls) == 1 else HEALTHY

    world.diagnosis = diagnosis
    assert "fault was found again on only 0 of 5 other seeds: it may be chance" in run(world).session.notes


# -------------------------------------------------------------------------------------------------- whom it believes


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


# ---------------------------------------------------------------------------------------------------- what comes next


def test_a_clear_repair_is_confirmed_before_anything_else_is_screened(
    store: Store, remedies: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the wiring is at fault, or nothing is wrong any more; else the other remedies are looked at first."""
    sick = diagnosed(rule="left over")
    for kind, after, before in (("wiring", sick, 1), ("fit", HEALTHY, 1), ("fit", sick, 3)):
        monkeypatch.setattr("advisor.fixing.rules_in_force", lambda _, kind=kind: {"fault": SimpleNamespace(kind=kind)})
        remedies(remedy("good", "layers"), remedy("idle", "decay"), remedy("idler", "inputs"))
        world = made(store, {"good": 0.3, "idle": 0.0, "idler": 0.0}, after)
        assert run(world).plan == change("good")
        confirmed = [job.plan for job in world.jobs].index(change("good"), 7)
        screened = {str(job.plan) for job in world.jobs[:confirmed] if job.plan and job.seed == 0}
        assert len(screened) == before


def test_a_kept_remedy_may_get_other_parameters(store: Store, remedies: Given) -> None:
    """Twice as strong is better still: the second stage replaces the first choice, it does not add another."""
    remedies(remedy("good", "layers", (1.0, 2.0)))

    def score(plan: Plan, seed: int) -> float:
        strength = sum(float(str(step.parameters["strength"])) for step in plan.steps)
        return 0.4 + 0.1 * strength + noise(plan, seed)

    monkeyed = World(store, score, lambda plan: HEALTHY if plan == change("good", 2.0) else diagnosed("good"))
    assert run(monkeyed, budget=40).plan == change("good", 2.0)


def test_what_hurt_is_not_tried_again_on_top(store: Store, remedies: Given) -> None:
    """It lost beside the good one and alone, in the first stage; no later stage pays for it again."""
    remedies(remedy("good", "layers"), remedy("bad", "inputs"))
    world = made(store, {"good": 0.2, "bad": -0.2})
    run(world, budget=40)
    accepted = max(i for i, job in enumerate(world.jobs) if job.plan == change("good"))
    assert not any("bad" in names(job.plan) for job in world.jobs[accepted:])


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


def test_the_longest_run_that_the_budget_allows_is_tried(store: Store, remedies: Given) -> None:
    """Eight times the length is too dear to be proven, twice is not: it need not wait for other remedies."""
    remedies(remedy("more", "epochs", (8.0, 2.0), parameters=Factor), remedy("idle", "decay"))

    def length(plan: Plan) -> int:
        factors = [int(float(str(step.parameters["factor"]))) for step in plan.steps if step.remedy == "more"]
        return EPOCHS * (factors[0] if factors else 1)

    world = made(store, {"more": 0.3, "idle": 0.0}, HEALTHY, epochs=length)
    assert run(world).plan == Plan.of("more", factor=2.0)
    assert next(job.plan for job in world.jobs if job.plan) == Plan.of("more", factor=2.0)


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
