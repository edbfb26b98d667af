"""The loss adds up a batch without dividing, and the learning rate is not made for that: training does not succeed.

## What it does

Reads from the autograd graph whether the value that `backward` begins at is a sum over the batch, by
`reduction="sum"` or by `.sum()`, and how many elements it adds up. It fires where the training failed as with too
high a rate as well: the loss became NaN or infinite, never got below nine tenths of its start, or climbed back. A sum
with a rate that was chosen for it is healthy, and so is one under an optimizer that divides by the size of the
gradient, such as Adam.

## Why it hurts

The gradient is as many times longer as elements are added up, so that a rate of 0.1 works like one of 6.4 with a batch
of 64. It also changes with the batch size and with the last, shorter batch of an epoch.

## Example

    loss_fn = nn.MSELoss(reduction="sum")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)  # a rate for the mean

## When it is wrong

A rate that would be too high for the mean as well has the same marks: then the sum makes it worse and is not the
only cause. A sum that is multiplied by a number is taken for a mean, whatever the number is.

## References

- Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, 2017: the linear scaling rule,
  by which the learning rate goes with the size of the minibatch. https://arxiv.org/abs/1706.02677
- PyTorch, MSELoss: reduction "mean" and "sum".
  https://docs.pytorch.org/docs/stable/generated/torch.nn.MSELoss.html
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.progress import end, initial_loss

PLAIN = {"SGD", "ASGD", "LBFGS"}  # the step grows with the gradient


@rule(
    kind="wiring",
    needs=["backward_root", "optimizer", "train_loss"],
    optional=["step_loss"],
    remedies=["mean_reduction", "learning_rate"],
    explains=["optimisation", "signal", "fit", "label_noise", "no_signal"],
)
def sum_reduced_loss(
    run: Evidence,
    *,
    elements: Annotated[float, Convention("ten times too long a step is as a rule too long")] = 10.0,
    progress: Annotated[float, Convention("a loss that fell by less than a tenth has not begun to learn")] = 0.1,
    climb: Annotated[float, Convention("half of the way back: no spike that a healthy run recovers from")] = 0.5,
) -> Finding | None:
    root = run.table("backward_root")
    summed, rate = root.get("summed"), _plain_rate(run)
    if not isinstance(summed, int | float) or summed < elements or rate is None:
        return None
    harm = _harm(run, progress, climb)
    if not harm:
        return None
    return Finding(
        message=f"The loss adds up {summed:.0f} elements of a batch without dividing, so that the rate of {rate:.2g} "
        f"works like one of {rate * summed:.2g}: {harm}.",
        numbers=(Number(text=f"{summed:.0f} elements added up", value=float(summed), threshold=elements),),
        confidence=0.9,
        first_step=f'Use reduction="mean", or divide the learning rate by {summed:.0f}.',
        since=0,
    )


def _plain_rate(run: Evidence) -> float | None:
    """The learning rate of an optimizer whose steps grow with the gradient."""
    groups = run.fact("optimizer")
    first = groups[0] if isinstance(groups, list) and groups else None
    if not isinstance(first, dict) or first.get("class") not in PLAIN:
        return None
    rate = first.get("lr")
    return float(rate) if isinstance(rate, int | float) else None


def _harm(run: Evidence, progress: float, climb: float) -> str:
    """How the training failed; "" where it did not."""
    losses, start = run.curve("train_loss"), initial_loss(run)
    finite = np.isfinite(losses.values)
    if not finite.all():
        return f"the loss became NaN or infinite in epoch {losses.at[~finite][0]}"
    if not np.isfinite(start) or start <= 0 or len(losses) < 2:
        return ""
    late, lowest = float(losses.values[len(losses) // 2 :].min()), float(losses.values.min())
    if 1.0 - late / start < progress:
        return f"the loss began at {start:.3g} and is at {losses.last:.3g}"
    if end(losses.values) - lowest > climb * start:
        return f"the loss climbed from {lowest:.3g} back to {losses.last:.3g}"
    return ""
