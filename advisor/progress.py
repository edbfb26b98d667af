"""Evidence -> how far a training came and how fast it still moved: what several rules ask of a curve.

Whoever calls these declares the names that they read: `initial_loss` step_loss and train_loss; `guessing_loss` loss and
classes; `skill` clean_train_score and chance_score; `learnt` these, step_loss and train_loss; `typical_updates`
update_ratio.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from advisor.evidence import Curve, Evidence, Layers

Values = NDArray[np.float64]

LAST = 3  # epochs whose mean is "the end": one bad last epoch does not decide (as for the final score of a run)
PART = 0.25  # of the run: the tuning playbook asks whether the best step lies in the last 25 %
MAD_TO_SD = 0.6745  # median of |x| for a standard normal x
SECOND_DIFFERENCE = math.sqrt(6.0)  # sd of x[i] - 2 x[i+1] + x[i+2] for independent x of sd 1: 1 + 4 + 1 under the root
FEWEST_FOR_NOISE = 5  # values: below it there are less than three second differences, and no median of them
GRID = 200  # points in time: a quantile of so many is known to half a per cent of the run


def is_finite(*curves: Curve) -> bool:
    return all(bool(np.isfinite(curve.values).all()) for curve in curves)


def initial_loss(run: Evidence) -> float:
    """Loss of the first step, before the model learned anything. Raises: Missing."""
    return run.curve("step_loss" if run.has("step_loss") else "train_loss").first


def guessing_loss(run: Evidence) -> float:
    """Loss of always predicting equal shares: ln C for a cross entropy over C classes. Raises: Missing."""
    classes = run.number("classes")
    entropies = {"cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"}
    return math.log(max(classes, 2.0)) if run.fact("loss") in entropies else math.inf


def skill(run: Evidence) -> float:
    """How well the training data are fit at the end: 0 is guessing, 1 is perfect. Raises: Missing.

    (score - chance) / (1 - chance), of the score in eval mode
    """
    score = run.curve("clean_train_score").last
    chance = run.number("chance_score")
    return float((score - chance) / max(1.0 - chance, 1e-9))  # 1e-9: there is one class only


def learnt(run: Evidence) -> float:
    """`skill`; where a loss has no score, such as a ranking or a contrastive one, the share of its start that is gone.

    NaN for a loss that is no number or begins at zero or below: it has no perfect value. Raises: Missing.
    """
    if run.has("clean_train_score") and run.has("chance_score"):
        return skill(run)
    first = initial_loss(run)
    return 1.0 - after(run.curve("train_loss").values) / first if first > 0 else math.nan


def noise(values: Values) -> float:
    """Standard deviation of a curve around its local trend, from second differences; 0 where there are too few.

    A bend adds to it, so that a steep curve looks noisier than it is, and what must exceed the noise fires later.
    """
    if len(values) < FEWEST_FOR_NOISE:
        return 0.0
    return float(np.median(np.abs(np.diff(values, n=2))) / (MAD_TO_SD * SECOND_DIFFERENCE))


def smooth(values: Values) -> Values:
    """Mean of each value and the two before it."""
    return np.array([values[max(0, i + 1 - LAST) : i + 1].mean() for i in range(len(values))])


def end(values: Values) -> float:
    """Mean of the last few values."""
    return float(values[-LAST:].mean())


def after(values: Values) -> float:
    """What a loss came to: the mean of its last few values, and no more than the last of them.

    In a short run that still falls, those before the last are the way down, and no loss of what was learned.

    >>> after(np.array([4.0, 3.0, 2.0, 1.0])), after(np.array([1.0, 4.0, 2.0, 3.0]))
    (1.0, 3.0)
    """
    return min(end(values), float(values[-1]))


def pace(start: float, values: Values) -> float:
    """Speed of a falling loss in the last quarter, over its mean speed since the start.

    1: as fast at the end as all along, a straight line; near 0: settled; negative: rising again; 0 where it never fell.

    start: before the first epoch; values: (E,) after each epoch

    >>> pace(4.0, np.array([3.0, 2.0, 1.0, 0.0]))
    1.0
    """
    window = max(1, round(PART * len(values)))
    path = np.concatenate([[start], values])
    total, late = path[0] - path[-1], path[-1 - window] - path[-1]
    if total <= 0:
        return 0.0
    return float(late / total * len(values) / window)


def fall(start: float, values: Values) -> float:
    """How much a loss fell in the last quarter, in multiples of the noise of that difference; ±inf without noise."""
    window = max(1, round(PART * len(values)))
    path = np.concatenate([[start], values])
    drop = float(path[-1 - window] - path[-1])
    deviation = noise(values) * math.sqrt(2.0)
    return drop / deviation if deviation > 0 else math.copysign(math.inf, drop)


def slope_t(values: Values) -> float:
    """t of the straight line through the last half: how clearly a curve still moves; 0 for fewer than four values.

    >>> slope_t(np.array([4.0, 3.0, 2.0, 1.0])) == 0.0, slope_t(np.arange(8.0)) > 100
    (True, True)
    """
    late = values[len(values) // 2 :]
    if len(late) < 4:  # two for the line, two to see how far they are off it
        return 0.0
    x = np.arange(len(late)) - (len(late) - 1) / 2
    slope = float(x @ late / (x @ x))
    rest = late - late.mean() - slope * x
    error = math.sqrt(float(rest @ rest) / (len(late) - 2) / float(x @ x))
    return slope / max(error, 1e-12 * float(np.abs(late).max() or 1.0))  # 1e-12: a line without noise has no error


def share_of_late_fall(values: Values) -> float:
    """How much of its value a curve lost in the last quarter; negative where it rose."""
    window = max(1, round(PART * len(values)))
    if len(values) <= window:
        return 0.0
    before = float(smooth(values)[-1 - window])
    return (before - end(values)) / max(abs(before), 1e-12)


def evenly(layers: Layers) -> Values:
    """(GRID, K): a series by step, at evenly spaced steps; early steps are sampled more densely than late ones."""
    grid = np.linspace(layers.steps[0], layers.steps[-1], GRID)
    values: Values = layers.values[np.searchsorted(layers.steps, grid, side="right") - 1]
    return values


def typical_updates(run: Evidence) -> Values:
    """(GRID,) update_ratio of the median layer, over time; layers that never move are left out. Raises: Missing.

    Empty where none moves.
    """
    ratios = np.nan_to_num(evenly(run.layers("update_ratio")))
    moving = ratios[:, (ratios > 0).any(axis=0)]
    middle: Values = np.median(moving, axis=1) if moving.size else np.empty(0)
    return middle


def share_error(share: float, samples: float) -> float:
    """Standard error of a share of `samples`, such as an accuracy: the binomial sqrt(p (1 - p) / n)."""
    return math.sqrt(max(share * (1.0 - share), 0.0) / max(samples, 1.0))


def rate_rose(run: Evidence, epochs: int) -> NDArray[np.bool_]:
    """(epochs - 1,) whether the learning rate was raised before or in the later of two epochs: reads epoch_lr."""
    rates = run.curve("epoch_lr").values if run.has("epoch_lr") else np.zeros(0)
    if len(rates) != epochs:
        return np.zeros(max(0, epochs - 1), dtype=np.bool_)
    rose = np.diff(rates) > 0
    rose[1:] |= rose[:-1].copy()  # the rate is read at the end of an epoch: one that was raised there acts in the next
    return rose
