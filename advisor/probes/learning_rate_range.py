"""Which learning rates make the loss fall, and which make it explode? Smith's range test on copies.

The rate rises from 1e-7 to 10 in 100 steps over the given batches, or until the loss diverges; short trainings at a
fixed rate then find the highest one that holds. About 200 training steps on copies of the model.

Result, `probe.learning_rate_range`:

    suggested       a rate worth trying: a candidate, never a fix; None where the loss did not fall beyond its noise
    steepest        where the loss fell fastest in the sweep
    highest_stable  the highest rate at which a short training does not end above where it began; also where no rate
                    of the sweep brought a fall
    used            the run's own rate
    lrs, losses     the sweep: the loss after a step at each rate, as a difference to the same batch's first loss, on
                    top of the mean first loss, so that a hard batch is not taken for a rise
    reason          one sentence

References:
Smith: Cyclical Learning Rates for Training Neural Networks, section 3.3 (there the rate rises linearly and the accuracy
is looked at). arXiv 1506.01186.
Bengio: Practical Recommendations for Gradient-Based Training of Deep Architectures. arXiv 1206.5533.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim import Optimizer

from advisor.probes import Batch, Subject, Weights
from advisor.record import Json

weights: Weights = "initial"

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 100  # wider than any rate in use; 12 steps a decade resolve a factor of 1.2
QUIET = 25  # first steps of the sweep (up to 1e-5): too low a rate to move a loss, so their spread is its noise
WINDOW = 5  # steps of the centred mean: less than half a decade
DIVERGED = 4.0  # times the first loss: a convention; fastai's finder stops at 4 times the lowest
FALL = 0.05  # share of the first loss, below which a fall is what biases alone bring in a dead network (measured)
NOISES = 4.0  # standard deviations: one false fall in thirty thousand normal draws
RESOLUTION = 2  # places of the sweep, a factor of 1.45: what is read off is halved, since it is no better known
TRIAL = 20  # steps at a fixed rate: 5 % above the limit of stability, a quadratic's error grows sevenfold
BEFORE_LOWEST = 10.0  # fastai's advice for reading the curve: a value before its minimum, where the loss still falls
NEARLY = 0.9  # share of the whole fall at which the curve counts as down: a floor has no clear minimum
BELOW_STABLE = 2.0  # the best rate is usually within this factor of the highest that converges (Smith, section 3.3)


def run(subject: Subject) -> dict[str, Json]:
    """See the module's docstring."""
    batches = list(subject.batches)
    model = subject.fresh_model()
    used = _rate(subject.optimizer(model))
    if not batches or used <= 0:
        return _nothing(used, "no batch to train on" if not batches else "the run's learning rate is 0")
    first = [_loss(subject, model, batch) for batch in batches]
    base = float(np.mean(first))
    if not math.isfinite(base):
        return _nothing(used, "the loss is not finite before the first step")
    rates = np.geomspace(LOWEST, HIGHEST, STEPS)
    losses = _train(subject, rates, first, stop=base + (DIVERGED - 1) * abs(base))
    lrs = rates[: len(losses)]
    sweep: dict[str, Json] = {"lrs": [float(lr) for lr in lrs], "losses": [*losses]}
    if len(losses) < WINDOW:
        return _nothing(used, "the loss diverged at once", sweep)
    smooth = _smooth(np.array(losses))
    noise = float(np.std(losses[:QUIET])) / math.sqrt(WINDOW)
    fall = base - float(smooth.min())
    stable = _highest(subject, lrs, first)
    if not fall > max(NOISES * noise, FALL * abs(base)):
        reason = f"the loss fell from {base:.3g} by {fall:.2g} at most, no more than noise"
        limit = stable if stable is not None and stable < lrs[-1] else None  # where all hold, none was found
        return {**_nothing(used, reason, sweep), "highest_stable": limit}
    if stable is None:
        return _nothing(used, "no rate held in a short training", sweep)
    slope = np.gradient(smooth, np.log(lrs))
    down = int((smooth <= base - NEARLY * fall).argmax())  # the first place that low
    steepest = float(lrs[int(slope[: int(smooth.argmin()) + 1].argmin())])
    # the two readings in use, min / 10 and the steepest point: a wide floor sets them far apart, and either misleads
    between = math.sqrt(float(lrs[down]) / BEFORE_LOWEST * steepest)
    return {
        "suggested": min(between, stable / BELOW_STABLE),
        "steepest": steepest,
        "highest_stable": stable,
        "used": used,
        "reason": f"the loss fell from {base:.3g} by {fall:.2g}; the highest rate that holds is {stable:.2g}",
        **sweep,
    }


def _nothing(used: float, reason: str, sweep: dict[str, Json] | None = None) -> dict[str, Json]:
    """The honest answer, with whatever was swept."""
    none: dict[str, Json] = {"suggested": None, "steepest": None, "highest_stable": None, "used": used}
    return {**none, "reason": reason, **(sweep or {"lrs": [], "losses": []})}


def _train(
    subject: Subject, rates: Sequence[float] | NDArray[np.float64], first: list[float], stop: float
) -> list[float]:
    """The loss after a step at each rate, until it passes `stop`; the value that passed it is not kept."""
    model = subject.fresh_model()
    optimizer = subject.optimizer(model)
    used, own = _rate(optimizer), [float(group["lr"]) for group in optimizer.param_groups]
    base, batches = float(np.mean(first)), subject.batches
    losses: list[float] = []
    for step in range(len(rates) + 1):
        at = step % len(batches)
        optimizer.zero_grad()
        loss = subject.loss(model(*batches[at].args, **batches[at].kwargs), batches[at])
        value = float(loss.detach()) - first[at] + base
        if not value <= stop:  # also NaN
            break
        if step:
            losses.append(value)
        if step < len(rates) and loss.requires_grad:
            for group, lr in zip(optimizer.param_groups, own, strict=True):
                group["lr"] = float(rates[step]) * lr / used
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return losses


def _highest(subject: Subject, lrs: NDArray[np.float64], first: list[float]) -> float | None:
    """The highest rate of the sweep that holds, by bisection: what holds at one rate is taken to hold below it.

    The ends are tried themselves: that none holds, or that all do, says more than a place between.
    """
    low, high = -1, len(lrs)
    while high - low > (1 if low < 0 or high == len(lrs) else RESOLUTION):
        middle = (low + high) // 2
        low, high = (middle, high) if _holds(subject, float(lrs[middle]), first) else (low, middle)
    return float(lrs[low]) if low >= 0 else None


def _holds(subject: Subject, lr: float, first: list[float]) -> bool:
    """Whether a short training at a fixed rate ends no higher than it began."""
    base = float(np.mean(first))
    losses = _train(subject, [lr] * TRIAL, first, stop=base + (DIVERGED - 1) * abs(base))
    return len(losses) == TRIAL and float(np.mean(losses[-WINDOW:])) <= base


def _smooth(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S,) centred mean over up to WINDOW values, fewer at the ends."""
    half = WINDOW // 2
    return np.array([losses[max(i - half, 0) : i + half + 1].mean() for i in range(len(losses))])


@torch.no_grad()
def _loss(subject: Subject, model: nn.Module, batch: Batch) -> float:
    return float(subject.loss(model(*batch.args, **batch.kwargs), batch))


def _rate(optimizer: Optimizer) -> float:
    return max(float(group["lr"]) for group in optimizer.param_groups)
