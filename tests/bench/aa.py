"""A/A: how often a plan that does nothing is said to have helped. The bar: in at most 5 %.

    python tests/bench/aa.py                      # 200 sessions, five programs, about six minutes on one core
    python tests/bench/aa.py noisy --runs 12 --sessions 20

The plan that does nothing is a remedy that really runs (`pool.redraw`): the training goes on with other random numbers
of the same distribution. Two of them are tried, since a verdict compares matched seeds:

    all redrawn    initial weights and batches: plan and baseline share no more than two seeds do. The difference of a
                   pair is as large as chance makes it, which is the hardest case
    order redrawn  the order of the batches alone: a remedy without a point that leaves the initial weights as they are

Each verdict deals real trainings of the program out anew (`pool.py` says why that is exact), and each goes through the
real `confirm`, second look included. A session is the real `fix` with a budget of 20 over six remedies of two strengths
that all do nothing: screening, stopping, picking the best of what was screened, up to three looks. It is wrong if it
keeps any plan. Intervals are exact binomial ones of 95 %. The p of the last column asks whether redrawn runs differ
from the program's own (Mann-Whitney): a small one would mean that the plan does something.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from pool import Dealt, Run, Source, added, confirmed, faulty, interval, matched, nothing, spread, train, unmatched
from scipy.stats import mannwhitneyu
from small import PROGRAMS

from advisor.fixing import fix
from advisor.metric import Metric
from advisor.plan import Plan
from advisor.store import Store

BAR = 0.05
NULL = Plan.of("redraw")
ORDER = Plan.of("redraw", weights=False)
REMEDIES = tuple(f"nothing_{letter}" for letter in "abcdef")
BUDGET = 20  # of `fix` by default


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", help=f"of {', '.join(PROGRAMS)}; all where absent")
    parser.add_argument("--runs", type=int, default=40, help="real trainings of a program, under each null")
    parser.add_argument("--sessions", type=int, default=200, help="in all")
    parser.add_argument("--confirmations", type=int, default=200, help="of a program, under each null")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    names = options.programs or list(PROGRAMS)
    counts = np.zeros((3, 2), dtype=int)  # all redrawn, order redrawn, sessions: wrong, of
    print("| program | metric | spread | all redrawn: helped | order redrawn: helped | sessions: kept | p |")
    print("|---|---|---|---|---|---|---|", flush=True)
    began = time.monotonic()
    with added(nothing("redraw")):
        for name in names:
            seeds, plans = range(options.runs), [Plan(), NULL, ORDER]
            metric, (plain, redrawn, reordered) = train(PROGRAMS[name], plans, seeds, jobs=options.jobs)
            sessions = -(-options.sessions // len(names))
            row = measure(metric, plain, redrawn, reordered, sessions, options.confirmations)
            counts += row
            p = mannwhitneyu([r.final for r in plain], [r.final for r in redrawn]).pvalue
            shown = " | ".join(interval(*pair) for pair in row.tolist())
            print(f"| {name} | {metric.name} | {spread([*plain, *redrawn]):.2g} | {shown} | {p:.2f} |", flush=True)
    print(f"| all | | | {' | '.join(interval(*pair) for pair in counts.tolist())} | |")
    met = all(wrong <= BAR * of for wrong, of in counts.tolist())
    print(f"\nat most {BAR:.0%}: {'yes' if met else 'NO'}; {time.monotonic() - began:.0f} s")


def measure(
    metric: Metric, plain: list[Run], redrawn: list[Run], reordered: list[Run], sessions: int, confirmations: int
) -> np.ndarray:
    """(3, 2): for confirmations under both nulls and for sessions, how many were wrong, of how many."""
    everything = [*plain, *redrawn]
    wrong = [0, 0, 0]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(confirmations):
            rng = np.random.default_rng([0, number])
            deals = unmatched(everything, rng), matched(*swapped(plain, reordered, rng), rng)
            for which, source in enumerate(deals):
                wrong[which] += confirmed(Path(folder), source, metric, NULL).kind == "helped"
        for number in range(sessions):
            rng = np.random.default_rng([1, number])
            wrong[2] += bool(session(Path(folder), number, metric, unmatched(everything, rng)))
    return np.array([[wrong[0], confirmations], [wrong[1], confirmations], [wrong[2], sessions]])


def swapped(plain: list[Run], other: list[Run], rng: np.random.Generator) -> tuple[list[Run], list[Run]]:
    """Each pair in an order of chance, so that nothing tells plan from baseline, also in a pool that is small."""
    pairs = [(a, b) if rng.random() < 1 / 2 else (b, a) for a, b in zip(plain, other, strict=True)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def session(folder: Path, number: int, metric: Metric, source: Source) -> Plan:
    """The plan that a session over six remedies keeps. number: of the session, in this folder"""
    store = Store(str(folder / f"session-{number}.db"))
    executor = Dealt(store, source, metric, faulty(*REMEDIES))
    with added(*(nothing(name, (1, 2)) for name in REMEDIES), alone=True):
        done = fix(
            lambda: None, store=store, executor=executor, budget=BUDGET, metric=metric.name, report=False,
            plan_file=folder / f"plan-{number}.toml",
        )  # fmt: skip
    store.close()
    return done.plan


if __name__ == "__main__":
    main()
