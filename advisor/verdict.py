"""Results of matched runs, baseline and plan on the same seeds -> a verdict.

Accepting a plan takes three things at once:

    five seeds     fewer cannot reach p <= 0.05, whatever they show: 1/2^4 is 0.0625
    p <= alpha     exact one-sided sign-flip test of the mean matched difference
    above noise    the mean gain exceeds one standard deviation of the baseline over its seeds, since a smaller one is
                   no more than another seed would have brought; or every run of the plan beats every run of the
                   baseline, since then no spread of the baseline can account for it
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from advisor.metric import Metric, Result
from advisor.session import Kind, Verdict

ALPHA = 0.05  # of accepting a plan that changes nothing; DESIGN's own, and the convention
FEWEST_SEEDS = 5  # 1/2^5 is the first that is below ALPHA
MOST_SEEDS = 20  # the test visits 2^n sign patterns: a million at 20


def judge(
    baseline: Sequence[Result],
    plan: Sequence[Result],
    seeds: Sequence[int],
    metric: Metric,
    *,
    alpha: float = ALPHA,
    noise: float | None = None,
    took_effect: bool = True,
) -> Verdict:
    """Compare a plan's runs with the baseline's on the same seeds, in the same order.

    A run that broke (final score not finite) counts as worse than any that did not. Below five seeds the verdict is
    that of a screening: `hurt` and `no_difference` go by the size of the difference alone, and nothing has `helped`.

    noise: the baseline's standard deviation where it is known from more seeds than these
    took_effect: whether the records of the plan's runs show the change
    """
    before, after = scores(baseline, plan, metric)
    unbroken = before[[math.isfinite(r.final) for r in baseline]]
    if noise is None:
        noise = float(unbroken.std(ddof=1)) if len(unbroken) > 1 else None
    differences = after - before
    kind, reason = _kind(baseline, plan, before, after, alpha=alpha, noise=noise or 0.0, took_effect=took_effect)
    return Verdict(
        kind=kind,
        seeds=tuple(seeds),
        baseline=tuple(r.final for r in baseline),
        plan=tuple(r.final for r in plan),
        best_baseline=tuple(r.best for r in baseline),
        best_plan=tuple(r.best for r in plan),
        gain=float(differences.mean()),
        p=sign_flip(differences) if len(differences) > 1 else None,
        noise=noise,
        reason=reason,
    )


def sign_flip(differences: Sequence[float] | NDArray[np.float64]) -> float:
    """Share of the 2^n sign patterns of the differences whose mean is at least the observed one.

    Exact under "swapping plan and baseline within a seed changes nothing"; needs no normality (Fisher 1935).
    """
    values = np.asarray(differences, dtype=np.float64)
    sums = np.zeros(1)
    for value in np.abs(values):
        sums = np.concatenate([sums + value, sums - value])
    rounding = 1e-12 * np.abs(values).sum()  # sums that differ in their order of addition only are equal
    return float(np.mean(sums >= values.sum() - rounding))


def seeds_needed(alpha: float) -> int:
    """Fewest seeds on which the test can reach `alpha`, and never below five."""
    return max(FEWEST_SEEDS, math.ceil(math.log2(1 / alpha)))


def best_reachable(differences: Sequence[float] | NDArray[np.float64], total: int) -> float:
    """The smallest p that `total` seeds can still give after these differences.

    Were the rest positive without bound, only the sign patterns that leave them positive would count: p / 2^rest.
    """
    return sign_flip(differences) / 2.0 ** (total - len(differences))


def left_over(alpha: float, seeds: int) -> float:
    """What a test at `alpha` on so many seeds could not use, since its p moves in steps of 1/2^n: a later look may."""
    steps = 2.0**seeds
    return alpha - math.floor(alpha * steps) / steps


def scores(
    baseline: Sequence[Result], plan: Sequence[Result], metric: Metric
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Final scores, higher is better, a broken run standing below every other.

    Broken counts as zero where more is better and zero is below all (no accuracy, no R²), else as one range of the
    finite scores below the worst of them.
    """
    before = metric.sign * np.array([r.final for r in baseline], dtype=np.float64)
    after = metric.sign * np.array([r.final for r in plan], dtype=np.float64)
    finite = np.concatenate([before, after])
    finite = finite[np.isfinite(finite)]
    floor = 0.0
    if len(finite) and (metric.mode == "min" or finite.min() <= 0):
        spread = float(np.ptp(finite)) or abs(float(finite.min())) or 1.0
        floor = float(finite.min()) - spread
    return np.where(np.isfinite(before), before, floor), np.where(np.isfinite(after), after, floor)


def _kind(
    baseline: Sequence[Result],
    plan: Sequence[Result],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    *,
    alpha: float,
    noise: float,
    took_effect: bool,
) -> tuple[Kind, str]:
    differences = after - before
    seeds, gain = len(differences), float(differences.mean())
    broken = sum(not math.isfinite(r.final) for r in plan)
    newly = sum(math.isfinite(b.final) and not math.isfinite(a.final) for b, a in zip(baseline, plan, strict=True))
    if broken == seeds:
        return "failed", "no run of the plan came to its end" if seeds > 1 else "the run broke"
    if not took_effect:
        return "no_effect", "the record shows no trace of the change"
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    spread = f"the baseline's spread of {noise:.2g}"
    if seeds < FEWEST_SEEDS:
        few = "one seed" if seeds == 1 else f"{seeds} seeds"
        if gain < -noise:
            return "hurt", f"{few}: worse by more than {spread}"
        if gain <= noise:
            return "no_difference", f"{few}: within {spread}"
        return "inconclusive", f"{few}: better, to be confirmed on {FEWEST_SEEDS}"
    if sign_flip(differences) <= alpha and not newly:
        if gain > noise:
            return "helped", f"better on {better} of {seeds} seeds, by more than {spread}"
        if after.min() > before.max():
            return "helped", f"every one of {seeds} runs better than the best of the baseline"
    if sign_flip(-differences) <= alpha and (gain < -noise or after.max() < before.min()):
        return "hurt", f"worse on {worse} of {seeds} seeds, by more than {spread}"
    if abs(gain) <= noise:
        return "no_difference", f"{'better' if gain > 0 else 'worse'} by no more than {spread}"
    if newly and gain > 0:
        return "inconclusive", f"better on {better} of {seeds} seeds, but it breaks {newly} that did not break before"
    if gain > 0:
        return "inconclusive", f"better on {better} of {seeds} seeds, which is not p <= {alpha:.3g}"
    return "inconclusive", f"worse on {worse} of {seeds} seeds, which is not p <= {alpha:.3g}"
