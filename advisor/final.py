"""A kept plan -> the last word on it: against the unchanged program, and against that program at equal length."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from advisor.laboratory import Laboratory
from advisor.plan import Plan
from advisor.remedies import load_remedies
from advisor.session import Trial
from advisor.verdict import judge

if TYPE_CHECKING:
    from advisor.trial import Job


def conclude(lab: Laboratory, *, controls: bool = True) -> None:
    """Write the final verdict into the session; nothing where no plan was kept."""
    plan = lab.ledger.session.plan
    if not plan or lab.metric is None:
        return
    seeds = [seed for seed in lab.seeds_of(plan) if seed > 0 and lab.known(Plan(), seed) is not None]
    if not seeds:
        return
    runs = [m for seed in seeds if (m := lab.known(plan, seed)) is not None]
    took = any(m.took_effect() for m in runs if not m.broken)
    verdict = judge(lab.results(Plan(), seeds), lab.results(plan, seeds), seeds, lab.metric, took_effect=took)
    longer = _longer(plan)
    lab.budget.held = 0.0
    if longer and longer == plan:
        times = lab.price(plan)
        verdict = verdict.model_copy(
            update={"reason": f"{verdict.reason}; it does nothing but train {times:.2g} times as long"}
        )
    lab.ledger.update(final=verdict)
    if controls and longer and longer != plan:
        _control(lab, plan, longer, seeds)


def hold_back(lab: Laboratory, plan: Plan) -> None:
    """Keep what the control of a kept plan will take from what is tried next; nothing where there is not that much."""
    lab.budget.held = 0.0
    longer = _longer(plan)
    if longer and longer != plan:
        cost = _price(lab, longer, [seed for seed in lab.seeds_of(plan) if seed > 0])
        lab.budget.held = cost if lab.budget.allows(cost, jobs=lab.jobs) else 0.0


def _price(lab: Laboratory, longer: Plan, seeds: list[int]) -> float:
    return sum(lab.known(longer, seed) is None for seed in seeds) * lab.price(longer)


def _longer(plan: Plan) -> Plan:
    """The part of a plan that changes the number of epochs."""
    known = load_remedies()
    return Plan(steps=tuple(step for step in plan.steps if "epochs" in known[step.remedy].changes))


def _control(lab: Laboratory, plan: Plan, longer: Plan, seeds: list[int]) -> None:
    """The unchanged program for as many epochs as the plan: how much of the gain is the time alone."""
    from advisor.trial import Job

    if not lab.budget.allows(_price(lab, longer, seeds), jobs=lab.jobs):
        lab.ledger.note("the plan trains longer; no budget was left to train the unchanged program as long")
        return
    assert lab.metric is not None  # there is a plan that was judged by it
    trial = Trial(number=lab.ledger.next_number(), plan=longer, stage="control", seeds=tuple(seeds))
    lab.ledger.start(trial)
    jobs: list[Job] = [Job(trial.number, longer, seed, lab.ledger.id) for seed in seeds]
    runs = lab.train(jobs)
    lab.ledger.done(lab.row(trial, runs))
    beyond = judge([m.result(lab.metric) for m in runs], lab.results(plan, seeds), seeds, lab.metric)
    took = [fmean(m.seconds for m in lab.all_of(of) if not m.broken) for of in (plan, longer)]
    lab.ledger.note(
        f"at the same number of epochs the plan's gain over the unchanged program is {beyond.gain:+.3g} "
        f"({beyond.kind}); that takes {took[1]:.3g} s a run, the plan {took[0]:.3g} s"
    )
