"""Gradients are there after the backward pass and gone when the optimizer steps: nothing is learnt.

## What it does

On sampled steps it compares the gradient after the last backward pass with the one at the step. Fires where the first
is not zero and the second is exactly zero, or missing, in more than half of the steps.

## Why it hurts

An optimizer skips a parameter without a gradient, and does not move one whose gradient is zero. With momentum or weight
decay the weights may still change, but not because of the data.

## Example

    loss_fn(model(x), y).backward()
    optimizer.zero_grad()           # a line too late
    optimizer.step()

## When it is wrong

A loop that drops the gradients of bad batches on purpose, and finds most of them bad, looks the same. Where the step
itself runs the backward pass (LBFGS), it is not asked.

## References

- PyTorch, Optimizer.zero_grad: torch.optim optimizers behave differently "if the gradient is 0 or None": "in one case
  it does the step with a gradient of 0 and in the other it skips the step altogether".
  https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.zero_grad.html
- PyTorchTutorial issue 19, the question how the optimizer could update anything after zero_grad.
  https://github.com/patrickloeber/pytorchTutorial/issues/19
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Number, rule


@rule(
    kind="wiring",
    needs=["kept_gradient"],
    explains=["optimisation", "signal", "fit", "label_noise", "no_signal", "parameters_without_gradient"],
)
def gradients_cleared_before_step(
    run: Evidence,
    *,
    often: Annotated[float, Convention("of the steps: a loop may drop a bad batch, not every other one")] = 0.5,
    fewest: Annotated[int, Convention("sampled steps: the first may be a loop's way to begin")] = 2,
) -> Finding | None:
    kept = run.curve("kept_gradient").values
    kept = kept[np.isfinite(kept)]
    if len(kept) < fewest:
        return None
    share = float((kept == 0).mean())
    if share <= often:
        return None
    return Finding(
        message=f"The gradients are cleared between backward and step: in {share:.0%} of {len(kept)} sampled steps the "
        "optimizer got none.",
        numbers=(Number(text=f"steps without their gradient {share:.0%}", value=share, threshold=often),),
        confidence=0.97,
        first_step="Move optimizer.zero_grad() before loss.backward(), or after optimizer.step().",
        since=0,
    )
