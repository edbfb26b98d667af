"""The run ended while the validation loss was still falling.

## What it does

Fires when all planned epochs are done, and in the last quarter of them the validation loss fell at nearly the speed
of the whole run, beyond its noise, and below all that it had reached before. Every healthy run has its best epoch late
and creeps at the end; what counts is how much of the whole way the last quarter still made.

A schedule that has taken the rate down by its end is left alone: the curve is flat because it was told to be. So is a
run that was stopped before its time, by you or by early stopping.

## Why it hurts

The score is that of a model on the way. Changes that make training slower, such as dropout or augmentation, look
worse than they are.

## Example

    for epoch in range(3):  # the accuracy gained 20 points in the last of them

## When it is wrong

A loss on a long plateau that drops late may fall on for ten more epochs or for one; the curve cannot know.

## References

- Deep Learning Tuning Playbook (Godbole et al., 2023), "Deciding how long to train when training is not
  compute-bound": "if the best step is consistently in the last 25% of training we might benefit from training longer
  and re-tuning the decay schedule". https://github.com/google-research/tuning_playbook
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Measured, Number, rule
from advisor.progress import PART, fall, initial_loss, is_finite, pace


@rule(
    kind="fit",
    needs=["val_loss", "train_loss"],
    optional=["step_loss", "lr"],
    remedies=["more_epochs", "learning_rate", "optimizer"],
    explains=["underfitting"],
)
def too_few_epochs(
    run: Evidence,
    *,
    speed: Annotated[
        float,
        Measured(
            "at most 0.08 over fixtures/healthy, 0.83 in fixtures/too_few_epochs/faulty.py; a straight line has 1"
        ),
    ] = 0.4,
    clear: Annotated[float, Convention("three standard deviations: 1 in 740 by chance for a normal error")] = 3.0,
    annealed: Annotated[float, Convention("a rate that ends below a tenth of its peak was taken down")] = 0.1,
) -> Finding | None:
    planned = run.info.epochs
    val, train = run.curve("val_loss"), run.curve("train_loss")
    if planned is None or run.info.step_based or run.epochs < planned or len(val) < 2:
        return None
    start = initial_loss(run)
    if not is_finite(val, train) or not np.isfinite(start) or _rate_left(run) < annealed:
        return None
    curves = (val.values, train.values, *map(np.minimum.accumulate, (val.values, train.values)))
    now = min(pace(start, curve) for curve in curves)  # the fall from a hump is no progress
    if now < speed or fall(start, val.values) < clear:
        return None
    window = max(1, round(PART * len(val)))
    before = float(val.values[:-window].min(initial=start))
    return Finding(
        message=f"Training ended too early: in the last {window} of {planned} epochs the validation loss still fell "
        f"from {before:.3g} to {val.last:.3g}, at {now:.0%} of its average speed.",
        numbers=(Number(text=f"speed at the end over the average {now:.2f}", value=now, threshold=speed),),
        confidence=0.75,
        first_step="Train for three times as many epochs, and stop early when the validation loss no longer falls.",
        since=int(val.at[-window]),
    )


def _rate_left(run: Evidence) -> float:
    """Last learning rate over its peak."""
    if not run.has("lr"):
        return 1.0
    rates = run.layers("lr").values.max(axis=1)
    return float(rates[-1] / rates.max()) if rates.max() > 0 else 0.0
