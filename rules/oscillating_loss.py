"""The training loss goes up and down from epoch to epoch and no longer comes down.

## What it does

Looks at the mean training loss of each epoch since the middle of the run. A swing is a rise from one epoch to the next
that is larger than a standard error of the two means and than a tenth of the loss itself. Fires where more than
a quarter of the steps from epoch to epoch are swings, the loss is no lower at the end than at its best earlier, and the
training data are not fit.

Rises where the learning rate rose as well, as under cyclic rates and warm restarts, are not counted. The noise of a
mean over few or small batches is known from the scatter of the steps, and is not counted either.

## Why it hurts

The steps are about as long as the valley is wide. Which epoch happens to be the last decides how good the model is.

## Example

    optimizer = torch.optim.Adam(model.parameters(), lr=0.08)  # 1e-3 is the default, and seldom far off

## When it is wrong

Two models that are trained against each other have no loss that should fall. A loss whose difficulty is changed on
purpose (a curriculum, a growing penalty) rises by design.

## References

- AutoTrainer (Zhang et al., ICSE 2021), monitor.py, ol_judge: maxima and minima of the accuracy apart by a threshold
  in a quarter of the epochs or more. https://github.com/shiningrain/AUTOTRAINER
- Stanford CS231n, Neural Networks 3, Loss function: its wiggle, the batch size and the learning rate.
  https://cs231n.github.io/neural-networks-3/#loss
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Cited, Convention, Evidence, Finding, Measured, Number, rule
from advisor.progress import end, is_finite, rate_rose, skill

FEWEST = 8  # epochs: four steps from epoch to epoch in the second half


@rule(
    kind="optimisation",
    needs=["train_loss", "train_loss_std", "steps_per_epoch", "clean_train_score", "chance_score"],
    optional=["epoch_lr"],
    remedies=[
        "learning_rate",
        "learning_rate_schedule",
        "batch_size",
        "accumulate_gradients",
        "average_weights",
        "clip_gradients",
    ],
    explains=["dead_units", "too_few_epochs", "underfitting", "unstable_loss"],
)
def oscillating_loss(
    run: Evidence,
    *,
    often: Annotated[float, Cited("AutoTrainer, monitor.py: unstable_rate 0.25 of the epochs")] = 0.25,
    high: Annotated[
        float,
        Measured("fixtures/oscillating_loss/faulty.py: half of its rises are larger than 0.2; its fixed twin has none"),
    ] = 0.1,
    clear: Annotated[float, Convention("standard error: epochs see the same data, and scatter less than that")] = 1.0,
    error: Annotated[float, Convention("a twentieth of the way from a perfect fit to guessing: less is a tail")] = 0.05,
) -> Finding | None:
    losses, scatter = run.curve("train_loss"), run.curve("train_loss_std")
    if len(losses) < FEWEST or len(scatter) != len(losses) or not is_finite(losses, scatter):
        return None
    half = len(losses) // 2
    values, rises = losses.values, np.diff(losses.values)
    errors = scatter.values / np.sqrt(max(run.number("steps_per_epoch"), 1.0))
    needed = np.maximum(clear * np.hypot(errors[1:], errors[:-1]), high * values[:-1])
    swings = (rises > needed) & ~rate_rose(run, len(losses))
    share, wrong = float(swings[half - 1 :].mean()), 1.0 - skill(run)
    if share < often or end(values) < values[:half].min() or not wrong > error:
        return None
    typical = float(np.median(rises[swings] / values[:-1][swings]))
    return Finding(
        message=f"The training loss oscillates: since epoch {losses.at[half]} it rose in {share:.0%} of the epochs, "
        f"typically by {typical:.0%}, and it is {end(values):.3g} where it had been {values[:half].min():.3g}.",
        numbers=(
            Number(text=f"rises in {share:.0%} of the epochs", value=share, threshold=often),
            Number(text=f"a typical rise of {typical:.0%}", value=typical, threshold=high),
            Number(text=f"{wrong:.0%} of the way from a perfect fit to guessing", value=wrong, threshold=error),
        ),
        confidence=0.8,
        first_step="Divide the learning rate by three, or let a schedule take it down.",
        since=int(losses.at[half]),
    )
