"""The loss falls steadily but by little an epoch, and most of it is still there at the end.

## What it does

Fires where, in each of the last five epochs, the training loss fell by less than 5 %, yet it was still falling as
steadily as over the whole run, the validation loss with it, and more than half of the first loss is left.

A curve that has settled does not fire, wherever it settled: noise in the targets sets a floor that no optimizer
passes. Where the steps themselves are tiny, `learning_rate_too_low` names the cause and this finding stands below it.

## Why it hurts

At such a speed the epochs that are planned do not suffice, and more of them are the most expensive cure.

## Example

    model = nn.Sequential(nn.Linear(20, 64), nn.Sigmoid(), nn.Linear(64, 64), nn.Sigmoid(), nn.Linear(64, 5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)  # no momentum

## When it is wrong

Language models and other large tasks improve slowly for good reasons: their loss is far above zero at its floor.
There the fall of the last quarter is small against the whole, and the rule is silent; in a very short run it may not
be.

## References

- TheDeepChecker (Ben Braiek and Khomh, 2023), settings.yaml, Loss.NonDecreasing: a decrease of less than 5 % per
  check, over five checks. https://github.com/thedeepchecker/thedeepchecker
- AutoTrainer (Zhang et al., ICSE 2021), rule slow convergence: accuracy rises by 0.01 in no epoch.
  https://github.com/shiningrain/AUTOTRAINER
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Cited, Convention, Evidence, Finding, Number, rule
from advisor.progress import fall, initial_loss, is_finite, pace


@rule(
    kind="fit",
    needs=["train_loss", "val_loss"],
    optional=["step_loss"],
    remedies=["learning_rate", "optimizer", "batch_norm", "learning_rate_schedule", "more_epochs"],
    probes=["learning_rate_range"],
    explains=["too_few_epochs", "underfitting"],
)
def slow_convergence(
    run: Evidence,
    *,
    decrease: Annotated[float, Cited("TheDeepChecker, settings.yaml: Loss.NonDecreasing.decr_percentage 0.05")] = 0.05,
    epochs: Annotated[int, Cited("TheDeepChecker, settings.yaml: Loss.NonDecreasing.window_size 5")] = 5,
    left: Annotated[float, Convention("half of the way: what is nearly done is not slow")] = 0.5,
    steady: Annotated[float, Convention("a straight line has 1; a settled curve is near 0")] = 0.4,
    clear: Annotated[float, Convention("three standard deviations: 1 in 740 by chance for a normal error")] = 3.0,
) -> Finding | None:
    train, val = run.curve("train_loss"), run.curve("val_loss")
    start = initial_loss(run)
    if len(train) <= epochs or not is_finite(train, val) or not np.isfinite(start) or start <= 0:
        return None
    recent = train.values[-epochs - 1 :]
    rates = 1.0 - recent[1:] / recent[:-1]
    slowest_of_all = min(pace(start, train.values), pace(start, val.values))
    if rates.max() >= decrease or train.last / start < left or slowest_of_all < steady:
        return None
    if fall(start, train.values) < clear or fall(start, val.values) < clear:
        return None
    return Finding(
        message=f"Training converges slowly: the loss falls by {rates.mean():.1%} an epoch and is still at "
        f"{train.last:.3g} of {start:.3g} after {run.epochs} epochs.",
        numbers=(
            Number(text=f"largest fall in an epoch {rates.max():.1%}", value=float(rates.max()), threshold=decrease),
            Number(text=f"{train.last / start:.0%} of the loss is left", value=train.last / start, threshold=left),
        ),
        confidence=0.7,
        first_step="Try a higher learning rate or an adaptive optimizer before more epochs.",
        since=int(train.at[-epochs]),
    )
