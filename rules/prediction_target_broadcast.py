"""Prediction and target have different shapes, and every prediction is compared with every target.

## What it does

Fires where a loss that compares element by element, such as `mse_loss`, got two shapes that broadcasting enlarges
beyond both: (N, 1) and (N,) become (N, N). In a loss that is written out by hand the difference is looked for in the
autograd graph. Shapes where the larger one stays as it is, such as (N, 3) and (N, 1), are left alone: several
quantiles of one target are meant that way.

## Why it hurts

The mean over all pairs is least where every prediction is the mean of the targets. The model learns that mean and
nothing else, and the loss settles at the variance of the targets, which looks like a task that is too hard.

## Example

    loss = F.mse_loss(model(x), y)  # (64, 1) and (64,)

## When it is wrong

A loss of the user's own may want all pairs, for example to rank them. Written with `prediction[:, None]` it is not
taken for a mistake; written otherwise it is.

## References

- PyTorch, functional.mse_loss, warns of a target size that is different to the input size: "This will likely lead to
  incorrect results due to broadcasting."
  https://github.com/pytorch/pytorch/blob/main/torch/nn/functional.py
- PyTorch, Broadcasting semantics. https://docs.pytorch.org/docs/stable/notes/broadcasting.html
"""

from __future__ import annotations

import math
from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.loss_inputs import ELEMENTWISE, LossInputs, loss_inputs


@rule(
    kind="wiring",
    needs=["loss_inputs"],
    remedies=["match_target_shape"],
    explains=["optimisation", "signal", "fit", "label_noise", "no_signal", "outlier_targets"],
)
def prediction_target_broadcast(
    run: Evidence,
    *,
    enlarged: Annotated[float, Convention("times as many pairs as targets: a batch of two has twice as many")] = 1.9,
) -> Finding | None:
    for one in loss_inputs(run):
        if one.enlarged is None or not (one.own or one.name in ELEMENTWISE):
            continue
        pairs = math.prod(one.enlarged) / max(math.prod(one.output_shape), math.prod(one.target_shape))
        if pairs > enlarged:
            return _finding(one, pairs, enlarged)
    return None


def _finding(one: LossInputs, pairs: float, enlarged: float) -> Finding:
    where = one.name or "the loss"
    return Finding(
        message=f"Prediction {one.output_shape} and target {one.target_shape} are broadcast to {one.enlarged} in "
        f"{where}: every prediction is compared with every target, and the best answer is their mean.",
        numbers=(Number(text=f"{pairs:.0f} times as many pairs as targets", value=pairs, threshold=enlarged),),
        confidence=0.98 if one.name in ELEMENTWISE else 0.85,
        first_step=f"Bring both to one shape before the loss: output.squeeze(1), or target.view({_view(one)}).",
        since=0,
    )


def _view(one: LossInputs) -> str:
    return ", ".join(["-1", *map(str, one.output_shape[1:])])
