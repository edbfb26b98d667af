"""What `fix` leaves as it is: noise, health, and what it can say but not prove."""

from __future__ import annotations

from pathlib import Path

from worlds import EPOCHS, HEALTHY, Factor, Given, World, change, diagnosed, gaining, noise, remedy, run

from advisor.diagnosis import Diagnosis
from advisor.plan import Plan
from advisor.store import Store


def test_noise_is_not_accepted(store: Store, remedies: Given) -> None:
    """Four remedies that do nothing: no plan, no file, and verdicts that say so."""
    idle = ["a", "b", "c", "d"]
    remedies(*(remedy(name, "layers", (1.0, 2.0)) for name in idle))
    done = run(gaining(store, dict.fromkeys(idle, 0.0)))
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


def test_what_could_never_be_confirmed_is_advice(store: Store, remedies: Given) -> None:
    """Eight times the length, in a budget of twenty: said, and not begun."""
    remedies(remedy("more", "epochs", (8.0,), parameters=Factor))
    world = gaining(store, {"more": 0.2}, epochs=lambda plan: EPOCHS * (8 if plan else 1))
    done = run(world)
    assert not any(job.plan for job in world.jobs)
    assert done.session.advice[0].startswith(
        "more(factor=8) was not tried: to prove it takes a budget of 48 trainings more"
    )


def test_a_fault_of_one_seed_is_noted(store: Store, remedies: Given) -> None:
    """Found on the screening seed and on no other."""
    remedies(remedy("good", "layers"))
    world = gaining(store, {"good": 0.0})
    calls: list[int] = []

    def diagnosis(_: Plan) -> Diagnosis:
        calls.append(1)
        return diagnosed("good") if len(calls) == 1 else HEALTHY

    world.diagnosis = diagnosis
    assert "fault was found again on only 0 of 5 other seeds: it may be chance" in run(world).session.notes
