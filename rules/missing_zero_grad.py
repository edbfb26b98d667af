"""Gradients of earlier steps are still there when the next backward pass begins, and are added to its own.

## What it does

On sampled steps it compares the gradient at the beginning of a backward pass with the one at its end. Where somebody
clears the gradients after each step, by whatever means and at whatever time, the first is zero in at least one of the
passes before a step. Fires where, in more than half of the steps, a tenth or more was left over in all of them.

Gradient accumulation is no fault: there the first pass after a step finds nothing. Each optimizer is judged by its own
parameters, so that two networks that are trained in turn may clear theirs at different times.

## Why it hurts

Each step goes along the sum of all gradients so far: an uncontrolled momentum with factor 1, which never forgets and
makes the training overshoot or diverge.

## Example

    optimizer.zero_grad()      # once an epoch
    for x, y in train_loader:
        loss_fn(model(x), y).backward()
        optimizer.step()

## When it is wrong

A loop may keep old gradients on purpose, as a memory of its own making. Under `GradScaler` what is left over is smaller
than the new gradient by the scale, does no harm, and is not reported.

## References

- PyTorch issue 47175: "an extremely nasty bug", also by "calling it at the beginning of each epoch instead of the
  beginning of each iteration". https://github.com/pytorch/pytorch/issues/47175
- pytorch-examples issue 31, J. Johnson: "In practice if you forget to zero gradients before calling backward the model
  will sometimes train anyway, but training will be very unstable."
  https://github.com/jcjohnson/pytorch-examples/issues/31
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Number, rule


@rule(
    kind="wiring",
    needs=["leftover_gradient"],
    remedies=["clear_gradients"],
    explains=["optimisation", "signal", "fit", "label_noise", "no_signal"],
    in_source=["no_zero_grad"],
)
def missing_zero_grad(
    run: Evidence,
    *,
    left: Annotated[float, Convention("a tenth: what is cleared leaves exactly nothing, what is kept about all")] = 0.1,
    often: Annotated[float, Convention("of the steps: once an epoch may be forgotten, every other time not")] = 0.5,
    fewest: Annotated[int, Convention("sampled steps beside the first, which has none before it")] = 2,
) -> Finding | None:
    ratio = run.curve("leftover_gradient").values[1:]
    ratio = ratio[np.isfinite(ratio)]
    if len(ratio) < fewest:
        return None
    kept = ratio > left
    share = float(kept.mean())
    if share <= often:
        return None
    typical = float(np.median(ratio[kept]))
    return Finding(
        message=f"Gradients are not cleared between steps: in {share:.0%} of the sampled steps the old ones were still "
        f"there, {typical:.0%} of what the optimizer got.",
        numbers=(
            Number(text=f"steps with gradients left over {share:.0%}", value=share, threshold=often),
            Number(text=f"left over {typical:.2f} of the gradient", value=typical, threshold=left),
        ),
        confidence=0.97,
        first_step="Call optimizer.zero_grad() in every step, before loss.backward().",
        since=0,
    )
