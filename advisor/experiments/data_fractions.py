"""What would twice the training data bring? The program on shares of its data, and the curve that its error follows.

The error of a trained model falls with the number n of samples about as a + b n^-c. Three shares and few seeds
determine three numbers badly, so the width comes from fitting again and again to scores drawn from the spread of the
seeds. Costs a training on a quarter and one on a half of the data, and where the budget is large a second of each.

Result, `probe.data_fractions`:

    fractions, scores    shares of the training data, and the mean score at each, in the metric's unit
    doubling_gain        expected improvement with twice the data; positive is better, also for a loss
    doubling_gain_sd     its standard deviation under the spread of the seeds
    metric

References:
Hestness et al.: Deep Learning Scaling is Predictable, Empirically, 2017. arXiv 1712.00409.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from advisor.experiments import AskedBy
from advisor.laboratory import Laboratory
from advisor.metric import Metric
from advisor.plan import Plan
from advisor.record import Json
from advisor.remedies import load_remedies
from advisor.session import Trial

if TYPE_CHECKING:
    from advisor.trial import Job

asked_by: AskedBy = "rule"

FRACTIONS = (0.25, 0.5)  # of the training data, beside the whole of it that the baseline has
SHARE = 0.1  # of the whole budget that a second seed may bring the experiment to; one seed is always taken
EXPONENTS = np.linspace(0.1, 1.5, 29)  # c lies between 0.07 and 0.35 in Hestness et al., about 1 for a parametric model
DRAWS = 400  # the width of an interval from so many draws is known to about 4 %


def run(lab: Laboratory, seeds: Sequence[int]) -> dict[str, Json] | None:
    """None where the budget does not allow it, no remedy can take a share, or a run of it broke."""
    from advisor.trial import Job

    if any(lab.known(Plan(), seed) is None for seed in seeds):
        return None
    plans = [plan for plan in (subset_plan(fraction) for fraction in FRACTIONS) if plan]
    once = sum(lab.price(plan) for plan in plans)
    affordable = lab.budget.allows(once + 1 + len(seeds), jobs=lab.jobs)  # a screening and a confirmation are to follow
    if len(plans) < len(FRACTIONS) or not affordable or lab.metric is None:
        return None
    on = tuple(seeds[: 2 if 2 * once <= SHARE * lab.budget.trainings else 1])
    groups: list[list[float]] = []
    for plan in plans:
        trial = Trial(number=lab.ledger.next_number(), plan=plan, stage="probe", seeds=on)
        lab.ledger.start(trial)
        jobs: list[Job] = [Job(trial.number, plan, seed, lab.ledger.id) for seed in on]
        measured = lab.train(jobs)
        scores = tuple(m.result(lab.metric).final for m in measured)
        said = next((m.cannot_apply or m.error for m in measured if m.broken), "")
        lab.ledger.done(lab.row(trial, measured, note=said))
        if not np.isfinite(scores).all():
            return None
        groups.append(list(scores))
    whole = [result.final for result in lab.results(Plan(), seeds)]
    if not np.isfinite(whole).all():
        return None
    return extrapolate([*FRACTIONS, 1.0], [*groups, whole], lab.metric)


def extrapolate(fractions: Sequence[float], scores: Sequence[Sequence[float]], metric: Metric) -> dict[str, Json]:
    """Fit the curve and read it at twice the data. scores: for each fraction, one a seed, in the metric's unit"""
    n = np.asarray(fractions)
    means = np.array([np.mean(group) for group in scores])
    inner = np.concatenate([np.asarray(group) - np.mean(group) for group in scores])
    free = sum(len(group) - 1 for group in scores)
    spread = float(np.sqrt((inner**2).sum() / free)) if free else 0.0
    width = spread / np.sqrt([len(group) for group in scores])
    # Student's t, since the spread itself is estimated from few runs; below three degrees of freedom it has no variance
    draws = means + width * np.random.default_rng(0).standard_t(max(free, 3), size=(DRAWS, len(means)))
    (gain, *gains) = _gains(n, -metric.sign * np.vstack([means, draws]))
    return {
        "fractions": [float(f) for f in n],
        "scores": [float(m) for m in means],
        "doubling_gain": float(gain),
        "doubling_gain_sd": float(np.std(gains)),
        "metric": metric.name,
    }


def _gains(n: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """b (1 − 2^-c) of the least-squares curve a + b n^-c; 0 where the error does not fall with n.

    a is free, since a score may be measured from anywhere: only the fall is read.

    n: (F,), errors: (D, F); gives (D,)
    """
    best, gains = np.full(len(errors), np.inf), np.zeros(len(errors))
    centred_errors = errors - errors.mean(axis=1, keepdims=True)
    for c in EXPONENTS:
        x = n**-c - (n**-c).mean()
        b = np.maximum(errors @ x / (x @ x), 0.0)
        residual = ((centred_errors - np.outer(b, x)) ** 2).sum(axis=1)
        better = residual < best
        best = np.where(better, residual, best)
        gains = np.where(better, b * (1 - 2.0**-c), gains)
    return gains


def subset_plan(fraction: float) -> Plan | None:
    """The plan of whichever remedy trains on a share of the data."""
    for remedy in load_remedies().values():
        if "subset" in remedy.changes and "fraction" in remedy.parameters.model_fields:
            return Plan.of(remedy.name, fraction=fraction)
    return None
