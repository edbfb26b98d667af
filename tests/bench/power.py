"""Power: how often a plan that truly gains two standard deviations of the baseline has `helped`. The bar: 80 %.

    python tests/bench/power.py                   # five programs, about twelve minutes on one core
    python tests/bench/power.py digits --runs 16 --verdicts 50

The first two columns plant the gain: a plan's runs are runs of the program with two standard deviations (over all its
runs) added. The third needs no planting: the program at a tenth of its learning rate is the baseline, and the plan is
that factor of the rate, found by trying several, whose mean gain comes nearest to two standard deviations of it; what
the gain came to is shown beside.

    all redrawn    the plan's runs share nothing with the baseline's on the same seed: the hardest case, and a
                   common one, since a remedy that draws a number shifts all that come after it
    order redrawn  the same initial weights, another order of the batches
    learning rate  a real remedy with a gain of about that size; left out of the bar where none gains half of it
    sessions       `fix` with a budget of 20: the plan of the first column is one of six, five of which do nothing. It
                   has to survive the screening on one seed too; that is what a user gets, and no part of the bar

Verdicts are those of the real `confirm`, on five seeds and up to ten where these do not decide, over real trainings
that are dealt out anew each time (`pool.py`). Intervals are exact binomial ones of 95 %.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from aa import NULL, ORDER, REMEDIES, session
from pool import Run, Source, added, confirmed, interval, matched, nothing, shifted, spread, train, unmatched
from small import PROGRAMS

from advisor.metric import Metric
from advisor.plan import Plan

BAR, GAIN = 0.8, 2.0  # GAIN in standard deviations of the baseline
SLOW = Plan.of("learning_rate", factor=0.1)
FACTORS = (0.13, 0.18, 0.25, 0.35, 0.5, 0.7)  # by about the root of two; 1 would change nothing
TRIED = 8  # seeds on which each factor is tried


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", help=f"of {', '.join(PROGRAMS)}; all where absent")
    parser.add_argument("--runs", type=int, default=40, help="real trainings of a program in each of five pools")
    parser.add_argument("--verdicts", type=int, default=200, help="of a program, in each column")
    parser.add_argument("--sessions", type=int, default=40, help="of a program")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    names = options.programs or list(PROGRAMS)
    print("| program | metric | all redrawn: helped | order redrawn: helped | learning rate: helped | sessions: kept |")
    print("|---|---|---|---|---|---|", flush=True)
    began, met = time.monotonic(), True
    with added(nothing("redraw")):
        for name in names:
            seeds = range(options.runs)
            metric, (plain, redrawn, reordered) = train(PROGRAMS[name], [Plan(), NULL, ORDER], seeds, jobs=options.jobs)
            _, slow, faster = real(name, options.runs, options.jobs)
            helped = [
                planted(metric, [*plain, *redrawn], options.verdicts),
                beside(metric, plain, reordered, options.verdicts),
                count(metric, lambda rng, s=slow, f=faster: matched(s, f, rng), options.verdicts),
            ]
            kept = sessions(metric, [*plain, *redrawn], options.sessions)
            came_to = metric.sign * (mean(faster) - mean(slow)) / spread(slow)
            counted = helped if came_to >= GAIN / 2 else helped[:2]  # no factor gains that much: nothing to be found
            met = met and min(counted) >= BAR * options.verdicts
            shown = " | ".join(interval(hits, options.verdicts) for hits in helped)
            print(f"| {name} | {metric.name} | {shown}; gain {came_to:.1f} | {interval(kept, options.sessions)} |",
                  flush=True)  # fmt: skip
    print(f"\nat least {BAR:.0%} in every column: {'yes' if met else 'NO'}; {time.monotonic() - began:.0f} s")


def planted(metric: Metric, runs: list[Run], verdicts: int) -> int:
    """How often the first column's plan has helped."""
    gain = GAIN * spread(runs)

    def deal(rng: np.random.Generator) -> Source:
        source = unmatched(runs, rng)
        return lambda plan, seed: shifted(source(plan, seed), metric, gain if plan else 0.0)

    return count(metric, deal, verdicts)


def beside(metric: Metric, plain: list[Run], reordered: list[Run], verdicts: int) -> int:
    """The second column's. What chance has put between the two pools is no part of the gain."""
    gain = GAIN * spread(plain) - metric.sign * (mean(reordered) - mean(plain))
    better = [shifted(run, metric, gain) for run in reordered]
    return count(metric, lambda rng: matched(plain, better, rng), verdicts)


def real(name: str, runs: int, jobs: int) -> tuple[Metric, list[Run], list[Run]]:
    """The metric, and the program at a tenth of its rate beside the factor whose gain is nearest to GAIN."""
    factors = [Plan.of("learning_rate", factor=factor) for factor in FACTORS]
    metric, (slow, *tried) = train(PROGRAMS[name], [SLOW, *factors], range(TRIED), jobs=jobs)
    off = [abs(metric.sign * (mean(some) - mean(slow)) - GAIN * spread(slow)) for some in tried]
    chosen = factors[int(np.argmin(off))]
    _, (slow, faster) = train(PROGRAMS[name], [SLOW, chosen], range(runs), jobs=jobs)
    return metric, slow, faster


def count(metric: Metric, deal: Callable[[np.random.Generator], Source], verdicts: int) -> int:
    """How many of so many confirmations said that it helped."""
    helped = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(verdicts):
            helped += confirmed(Path(folder), deal(np.random.default_rng([2, number])), metric, NULL).kind == "helped"
    return helped


def sessions(metric: Metric, runs: list[Run], of: int) -> int:
    """How many sessions kept the one plan that gains; it is not the first that the diagnosis names."""
    gain, good = GAIN * spread(runs), REMEDIES[2]

    def deal(rng: np.random.Generator) -> Source:
        source = unmatched(runs, rng)
        return lambda plan, seed: shifted(source(plan, seed), metric, gain if good in remedies_of(plan) else 0.0)

    with tempfile.TemporaryDirectory() as folder:
        kept = [session(Path(folder), n, metric, deal(np.random.default_rng([3, n]))) for n in range(of)]
    return sum(good in remedies_of(plan) for plan in kept)


def remedies_of(plan: Plan) -> list[str]:
    return [step.remedy for step in plan.steps]


def mean(runs: list[Run]) -> float:
    return float(np.mean([run.final for run in runs]))


if __name__ == "__main__":
    main()
