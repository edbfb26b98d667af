"""A plan and what it is compared with -> matched runs on fresh seeds, and the verdict.

The k-th look of a stage is tested at 0.05/k, since one of many plans that do nothing would pass at 0.05 by chance; it
needs more seeds then. Three looks at most: a stage in which nothing helps then accepts in less than 5 %
(tests/test_verdict.py).

A confirmation looks when its seeds are through. The first of a stage may look once more: where a gain worth finding is
still plausible, the test cannot decide and the budget allows, it goes on to ten seeds, and is tested there at what the
first look could not use of its alpha.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from advisor.laboratory import Laboratory
from advisor.measured import Measured
from advisor.plan import Plan
from advisor.session import Trial, Verdict
from advisor.verdict import ALPHA, best_reachable, judge, left_over, scores, seeds_needed

if TYPE_CHECKING:
    from advisor.trial import Job

MOST_LOOKS = 3  # of a stage; levels of 0.05/k add up to more than 0.05 in the end
SECOND_LOOK = 10  # seeds: a gain of two standard deviations is then seen in some 94 % (tests/bench/power.py)
SOUGHT = 2.0  # standard deviations of the baseline: a gain that is not to be missed
SURE = 2.0  # standard errors that a mean may lie below it: 1 in 40 by chance


def level(look: int) -> float:
    """What the k-th look of a stage is tested at."""
    return ALPHA / look


def seeds_of(look: int, seeds: int) -> int:
    """How many fresh seeds the k-th look takes, `seeds` being what the user asked for."""
    return max(seeds, seeds_needed(level(look)))


def price(lab: Laboratory, plan: Plan, against: Plan, seeds: int) -> float:
    """Trainings that a confirmation on so many seeds takes; runs that are known cost nothing."""
    wanted = range(1, seeds + 1)
    return sum(lab.price(p) for p in (plan, against) for seed in wanted if lab.known(p, seed) is None)


def confirm(lab: Laboratory, trial: Trial, *, look: int, seeds: int) -> tuple[Verdict, list[Measured]]:
    """Run the trial's plan against what it is compared with, seed by seed, and judge.

    It stops as soon as no further seed could bring the test to its level: the budget is spent better elsewhere.
    """
    first = seeds_of(look, seeds)
    alpha = level(look)
    later = left_over(alpha, first)
    last = _second_look(lab, trial, first, later) if look == 1 else first
    runs: list[Measured] = []
    verdict = None
    while len(runs) < last:
        until = min(len(runs) + lab.jobs, first if len(runs) < first else last)
        runs += _pairs(lab, trial, range(len(runs) + 1, until + 1))
        looking = len(runs) in (first, last)
        verdict = _judge(lab, trial, runs, alpha=alpha if len(runs) <= first else later)
        if looking and verdict.kind in ("helped", "hurt", "no_effect", "failed"):
            break
        if len(runs) == last:
            break
        hopeless = _hopeless(lab, trial, runs, verdict, first=first, last=last, alpha=alpha, later=later)
        if hopeless is not None:
            if not looking and verdict.kind != "no_effect":
                reason = f"stopped after {len(runs)} of {first if len(runs) < first else last} seeds: {hopeless}"
                verdict = verdict.model_copy(update={"reason": reason})
            break
    assert verdict is not None  # there is at least one seed
    return verdict, runs


def _pairs(lab: Laboratory, trial: Trial, seeds: Sequence[int]) -> list[Measured]:
    from advisor.trial import Job

    base: list[Job] = [Job(0, trial.against, seed, lab.ledger.id) for seed in seeds]
    tried = [Job(trial.number, trial.plan, seed, lab.ledger.id) for seed in seeds]
    return lab.train([*base, *tried])[len(base) :]


def _judge(lab: Laboratory, trial: Trial, runs: Sequence[Measured], *, alpha: float) -> Verdict:
    assert lab.metric is not None  # set with the baseline
    seeds = [m.ran.job.seed for m in runs]
    before = lab.results(trial.against, seeds)
    after = [m.result(lab.metric) for m in runs]
    took = any(m.took_effect() for m in runs if not m.broken)
    few = len(runs) < 3  # two values have no spread worth the name: take that of all the baseline's seeds
    noise = lab.noise(trial.against) if few else None
    return judge(before, after, seeds, lab.metric, alpha=alpha, noise=noise, took_effect=took)


def _hopeless(
    lab: Laboratory,
    trial: Trial,
    runs: Sequence[Measured],
    verdict: Verdict,
    *,
    first: int,
    last: int,
    alpha: float,
    later: float,
) -> str | None:
    """Why neither the look that comes next nor the second one, where a gain of `SOUGHT` is plausible, can be won."""
    if verdict.kind == "no_effect":
        return verdict.reason
    assert lab.metric is not None  # set with the baseline
    seeds = [m.ran.job.seed for m in runs]
    before, after = scores(lab.results(trial.against, seeds), [m.result(lab.metric) for m in runs], lab.metric)
    lost = f"no further seed could bring p to {alpha if len(runs) < first else later:.3g}"
    if len(runs) < first and best_reachable(after - before, first) <= alpha:
        return None
    if last == first or best_reachable(after - before, last) > later:
        return lost
    error = math.sqrt(2 / len(runs))  # of a mean difference of two runs, in standard deviations of one
    if verdict.gain > (SOUGHT - SURE * error) * (verdict.noise or 0.0):
        return None
    return lost if len(runs) < first else f"a gain of {SOUGHT:g} spreads of the baseline is no longer to be expected"


def _second_look(lab: Laboratory, trial: Trial, first: int, later: float) -> int:
    """The seeds of the second look, as many as the budget allows up to ten; `first` where there is none."""
    for seeds in range(SECOND_LOOK, first, -1):
        cost = price(lab, trial.plan, trial.against, seeds)
        if 2.0**-seeds <= later and lab.budget.allows(cost, jobs=lab.jobs):
            return seeds
    return first
