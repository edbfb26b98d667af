"""So much of the data goes into one batch that the epochs are over after few steps.

## What it does

Fires where a batch holds a quarter of the training data or more, and more samples than it takes to keep a processor
busy, the whole run is over after few steps, and the training loss was still falling at the end nearly as fast as on
average, with most of it left. It needs the steps to have been of
ordinary length: where each was tiny, the learning rate is the cause.

A batch of all the data is no fault by itself: small data that are fit that way, and LBFGS, which needs it, are left
alone.

## Why it hurts

An epoch costs the same at any batch size, and beyond some size a step learns little more from more samples. A larger
batch buys fewer steps for the same money.

## Example

    train_loader = DataLoader(data, batch_size=len(data), shuffle=True)  # one step an epoch

## When it is wrong

Where the batch is that large on purpose, for a loss that compares all samples with each other, more epochs are what is
wanted.

## References

- McCandlish et al., An Empirical Model of Large-Batch Training, 2018: beyond a critical size larger batches cost more
  samples and save few steps. https://arxiv.org/abs/1812.06162
- Shallue et al., Measuring the Effects of Data Parallelism on Neural Network Training, JMLR 2019: diminishing returns,
  then none. https://jmlr.org/papers/v20/18-789.html
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.progress import initial_loss, is_finite, pace, typical_updates
from advisor.record import Json


@rule(
    kind="optimisation",
    needs=["train_loss", "batch_size", "train_samples", "steps_per_epoch", "update_ratio"],
    optional=["step_loss", "optimizer"],
    remedies=["batch_size", "more_epochs", "learning_rate"],
    explains=["label_noise", "slow_convergence", "too_few_epochs", "underfitting"],
    contradicts=["learning_rate_too_low"],
)
def batch_too_large(
    run: Evidence,
    *,
    share: Annotated[float, Convention("a quarter of the data: four steps an epoch")] = 0.25,
    ordinary: Annotated[
        float, Convention("samples: batches of 32 to 128 are common, and too large for nothing")
    ] = 128.0,
    few: Annotated[float, Convention("steps in all: hardly anything is learned in less")] = 200.0,
    steady: Annotated[float, Convention("a straight line has 1; a settled curve is near 0")] = 0.4,
    left: Annotated[float, Convention("half of the way: what is nearly done had steps enough")] = 0.5,
    small: Annotated[
        float, Convention("of the weights, in a typical step: below it the rate is too low instead")
    ] = 1e-4,
) -> Finding | None:
    losses = run.curve("train_loss")
    size, samples, start = run.number("batch_size"), run.number("train_samples"), initial_loss(run)
    if len(losses) < 2 or not is_finite(losses) or not start > 0 or samples <= 0 or run.info.step_based:
        return None
    if run.info.epochs is not None and run.epochs < run.info.epochs:
        return None  # what is still to come is not known
    if size < max(share * samples, ordinary) or run.steps > few or "LBFGS" in _classes(run):
        return None
    updates = typical_updates(run)
    if not len(updates) or float(np.median(updates)) < small:
        return None
    if losses.last / start < left or pace(start, losses.values) < steady:
        return None
    return Finding(
        message=f"The batches are too large: {size:.0f} of {samples:.0f} samples in each gave {run.steps} steps in "
        f"{len(losses)} epochs, and the loss was still falling at {losses.last:.3g} of {start:.3g}.",
        numbers=(
            Number(text=f"a batch holds {size / samples:.0%} of the data", value=size / samples, threshold=share),
            Number(text=f"{run.steps} steps in all", value=float(run.steps), threshold=few),
            Number(text=f"{losses.last / start:.0%} of the loss is left", value=losses.last / start, threshold=left),
        ),
        confidence=0.85,
        first_step="Take batches of 32 to 128 samples: as many epochs then make many times the steps.",
        since=0,
    )


def _classes(run: Evidence) -> set[str]:
    groups: Json = run.fact("optimizer") if run.has("optimizer") else None
    return {str(g.get("class")) for g in groups if isinstance(g, dict)} if isinstance(groups, list) else set()
