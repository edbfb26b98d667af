"""Verdicts: the exact test against two oracles, the kinds one by one, and how often they are wrong."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from advisor.metric import Metric, Result
from advisor.session import Verdict
from advisor.verdict import best_reachable, judge, left_over, scores, seeds_needed, sign_flip

ACCURACY, LOSS = Metric("val_accuracy", "max"), Metric("val_loss", "min")
NAN = math.nan


def results(finals: list[float] | NDArray[np.float64], metric: Metric = ACCURACY) -> list[Result]:
    return [Result(metric, np.array([0]), np.array([f]), float(f), float(f), 0) for f in finals]


def judged(baseline: list[float], plan: list[float], metric: Metric = ACCURACY, **options: object) -> Verdict:
    given = results(baseline, metric), results(plan, metric), range(1, len(plan) + 1)
    return judge(*given, metric, **options)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------- the test


@pytest.mark.parametrize("seeds", [2, 5, 8])
def test_p_is_that_of_scipy(seeds: int) -> None:
    """The p value is scipy's exact permutation test of paired samples."""
    differences = np.random.default_rng(seeds).normal(0.5, 1.0, seeds)
    oracle = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", alternative="greater", n_resamples=np.inf
    )
    assert sign_flip(differences) == pytest.approx(oracle.pvalue)


def test_p_is_that_of_brute_force_with_ties() -> None:
    """Equal sums count, however they were added up."""
    differences = [0.1, 0.2, 0.3, -0.3, 0.0]
    sums = [
        sum(s * abs(d) for s, d in zip(signs, differences, strict=True))
        for signs in itertools.product((1, -1), repeat=5)
    ]
    expected = sum(total >= sum(differences) - 1e-9 for total in sums) / 32
    assert sign_flip(differences) == expected


def test_five_seeds_all_better_give_one_in_thirty_two() -> None:
    """The smallest p of n seeds is 1/2^n."""
    assert sign_flip([1.0, 2.0, 3.0, 4.0, 5.0]) == 1 / 32


@pytest.mark.parametrize(("attempt", "seeds"), [(1, 5), (2, 6), (3, 6), (4, 7)])
def test_seeds_grow_with_the_number_of_confirmations(attempt: int, seeds: int) -> None:
    """0.05/k needs ceil(log2(k/0.05)) seeds."""
    assert seeds_needed(0.05 / attempt) == seeds


def test_one_loss_among_five_cannot_be_made_good() -> None:
    """After one negative difference the best p of five seeds is 1/16; of ten it is below 0.002."""
    assert best_reachable([-1.0], 5) == 1 / 16
    assert best_reachable([-1.0], 10) == 1 / 512


def test_what_the_first_look_leaves_over() -> None:
    """At five seeds the test uses 1/32 of 0.05."""
    assert left_over(0.05, 5) == pytest.approx(0.05 - 1 / 32)


# ------------------------------------------------------------------------------------------------------ the kinds


BASELINE = [0.80, 0.82, 0.81, 0.83, 0.79]


def test_helped() -> None:
    """Five of five better by more than the spread: helped, with the numbers."""
    verdict = judged(BASELINE, [b + 0.05 for b in BASELINE])
    assert verdict.kind == "helped"
    assert verdict.gain == pytest.approx(0.05)
    assert verdict.p == 1 / 32
    assert verdict.noise == pytest.approx(np.std(BASELINE, ddof=1))


def test_a_lower_loss_has_helped() -> None:
    """A gain is positive where a loss falls."""
    verdict = judged([0.5, 0.52, 0.51, 0.53, 0.49], [0.4, 0.42, 0.41, 0.43, 0.39], LOSS)
    assert (verdict.kind, verdict.gain) == ("helped", pytest.approx(0.1))


def test_a_gain_within_the_noise_is_no_difference() -> None:
    """Five of five better, yet by less than another seed would bring."""
    verdict = judged(BASELINE, [b + 0.005 for b in BASELINE])
    assert (verdict.kind, verdict.p) == ("no_difference", 1 / 32)


def test_a_rescued_outlier_counts_where_all_runs_are_better() -> None:
    """A baseline that sometimes fails is its own noise; a plan whose every run beats its best one has helped."""
    assert judged([0.90, 0.91, 0.10, 0.92, 0.90], [0.95] * 5).kind == "helped"


def test_hurt() -> None:
    """Five of five worse by more than the spread."""
    assert judged(BASELINE, [b - 0.05 for b in BASELINE]).kind == "hurt"


def test_a_test_that_cannot_decide_is_inconclusive() -> None:
    """A gain above the noise with one seed worse: p is 2/32."""
    verdict = judged(BASELINE, [0.90, 0.92, 0.91, 0.93, 0.785])
    assert (verdict.kind, verdict.p) == ("inconclusive", 2 / 32)


def test_four_seeds_never_help() -> None:
    """Below five seeds nothing is accepted, whatever the gain."""
    assert judged(BASELINE[:4], [0.99] * 4).kind == "inconclusive"


@pytest.mark.parametrize(("score", "kind"), [(0.70, "hurt"), (0.79, "no_difference"), (0.95, "inconclusive")])
def test_one_seed_is_a_screening(score: float, kind: str) -> None:
    """One seed says hurt or no difference by size alone, and has no p."""
    verdict = judged([0.80], [score], noise=0.02)
    assert (verdict.kind, verdict.p) == (kind, None)


def test_a_change_that_never_reached_the_run() -> None:
    """No trace in the record is no effect, not no difference."""
    assert judged(BASELINE, BASELINE, took_effect=False).kind == "no_effect"


def test_a_broken_run_counts_as_worst() -> None:
    """One plan run that broke where the baseline did not: never helped."""
    assert judged(BASELINE, [0.9, 0.9, 0.9, 0.9, NAN]).kind != "helped"
    assert judged([0.8] * 10, [0.95] * 9 + [NAN]).kind == "inconclusive"


def test_a_plan_that_repairs_a_broken_baseline_has_helped() -> None:
    """No baseline came to its end, every run of the plan did; for a loss too."""
    assert judged([NAN] * 5, [0.90, 0.91, 0.90, 0.92, 0.93]).kind == "helped"
    assert judged([NAN] * 5, [0.3, 0.4, 0.3, 0.5, 0.4], LOSS).kind == "helped"


def test_a_plan_whose_every_run_breaks_has_failed() -> None:
    """Nothing to compare."""
    assert judged(BASELINE, [NAN] * 5).kind == "failed"


def test_broken_stands_below_every_finite_score() -> None:
    """Zero accuracy for a broken run; a loss above the worst by the range of the others."""
    assert scores(results([NAN, 0.5]), results([0.6, 0.7]), ACCURACY)[0].tolist() == [0.0, 0.5]
    before, _ = scores(results([NAN, 2.0], LOSS), results([1.0, 3.0], LOSS), LOSS)
    assert before.tolist() == [-5.0, -2.0]


# ---------------------------------------------------------------------------------------------- how often it is wrong


@pytest.mark.parametrize("looks", ["second look", "three plans"])
def test_a_stage_in_which_nothing_helps_accepts_in_less_than_five_percent(looks: str) -> None:
    """A against A, 2,000 stages of three looks: two at the first plan and one at another, or one at each of three."""
    rng, accepted = np.random.default_rng(0), 0
    for _ in range(2000):
        baseline = rng.normal(size=10).tolist()
        plans = rng.normal(size=(3, 10)).tolist()
        third = judged(baseline[:6], plans[2][:6], alpha=0.05 / 3).kind
        if looks == "second look":
            kinds = [two_looks(baseline, plans[0]), third]
        else:
            kinds = [
                judged(baseline[:5], plans[0][:5]).kind,
                judged(baseline[:6], plans[1][:6], alpha=0.025).kind,
                third,
            ]
        accepted += "helped" in kinds
    assert accepted / 2000 <= 0.05


@pytest.mark.parametrize(
    ("together", "looks"),
    [pytest.param(0.8, 1, id="matched seeds agree, five"), pytest.param(0.0, 2, id="no agreement, up to ten")],
)
def test_a_gain_of_two_standard_deviations_is_seen(together: float, looks: int) -> None:
    """In 80 % at least. together: how much of the variance over seeds plan and baseline share."""
    rng, helped = np.random.default_rng(2), 0
    for _ in range(500):
        shared, before, after = rng.normal(size=(3, 10))
        baseline = np.sqrt(together) * shared + np.sqrt(1 - together) * before
        plan = np.sqrt(together) * shared + np.sqrt(1 - together) * after + 2.0
        if looks == 1:
            helped += judged(baseline[:5].tolist(), plan[:5].tolist()).kind == "helped"
        else:
            helped += two_looks(baseline.tolist(), plan.tolist()) == "helped"
    assert helped / 500 >= 0.8


def two_looks(before: list[float], after: list[float]) -> str:
    """As `confirming` does where the budget allows."""
    first = judged(before[:5], after[:5]).kind
    if first != "inconclusive":
        return first
    return judged(before, after, alpha=left_over(0.05, 5)).kind
