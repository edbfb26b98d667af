"""The loss expects probabilities or their logarithms and gets raw numbers, or the one instead of the other.

## What it does

Looks at what reaches three losses. `nll_loss` and `kl_div` expect log-probabilities: their exponentials sum to one.
The rule fires where they are off by more than a tenth, and says whether the numbers are plain probabilities (the
logarithm is missing) or raw scores (the `log_softmax` is missing). `binary_cross_entropy` expects probabilities; it
refuses numbers outside [0, 1], so what is found there is a clamp or a ReLU in the place of the sigmoid.

## Why it hurts

`nll_loss` takes the number of the right class and turns its sign. On raw scores that has no lowest value: the loss
falls towards minus infinity while the other classes are never compared. On probabilities it is bounded but flat. A
clamp gives no gradient at all where the score is beyond its ends.

## Example

    loss = F.nll_loss(model(x), y)  # model ends in a linear layer: log_softmax is missing

## When it is wrong

Log-densities that are meant to be unnormalised, such as an energy that another term of the loss keeps in place, do
not sum to one. Where the sums are right over another dimension, `softmax_over_wrong_dimension` is the finding.

## References

- PyTorch, NLLLoss: "The input given through a forward call is expected to contain log-probabilities of each class."
  https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html
- PyTorch, KLDivLoss: "this loss expects the argument input in the log-space".
  https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html
"""

from __future__ import annotations

import math
from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.loss_inputs import LossInputs, loss_inputs

CUT = {"clamp", "hardtanh", "relu"}  # in the place of a sigmoid
SQUASHED = {"sigmoid", "softmax", "hardsigmoid", "exp", "tanh"}  # below a clamp that only keeps off 0 and 1


@rule(
    kind="wiring",
    needs=["loss_inputs"],
    remedies=["add_log_softmax"],
    explains=["optimisation", "signal", "fit", "label_noise", "no_signal"],
)
def logits_into_probability_loss(
    run: Evidence,
    *,
    off: Annotated[float, Convention("|sum - 1|: probabilities in half precision stay below 0.02")] = 0.1,
    cut: Annotated[float, Convention("one output in ten sits at an end, where a clamp gives no gradient")] = 0.1,
) -> Finding | None:
    for one in loss_inputs(run):
        finding = _unnormalised(one, off) or _cut(one, cut)
        if finding is not None:
            return finding
    return None


def _unnormalised(one: LossInputs, off: float) -> Finding | None:
    dimensions = _dimensions(one)
    if not dimensions or len(one.exp_sums_off) < len(one.output_shape):
        return None
    every = range(len(one.output_shape))
    distances = [value for d in dimensions if (value := one.exp_sums_off[d]) is not None]
    if (one.output[1] or 0.0) > off and not distances:
        distances = [math.inf]  # an exponential overflowed: the logarithm of a probability is never above 0
    if not distances or min(distances) < off or any(one.is_distribution(d, logarithm=True) for d in every):
        return None
    if any(one.is_distribution(d) for d in every if d not in dimensions):
        return None  # a softmax over another dimension: that is the finding then
    plain = any(one.is_distribution(d) for d in dimensions)
    what = "plain probabilities" if plain else "raw scores"
    low, high = one.output
    return Finding(
        message=f"The loss {one.name} expects log-probabilities and gets {what}: they lie between {low or 0.0:.3g} and "
        f"{high or 0.0:.3g}, and their exponentials miss a sum of 1 by {min(distances):.2g}.",
        numbers=(Number(text=f"off by {min(distances):.2g}", value=min(distances), threshold=off),),
        confidence=0.97 if plain or one.name == "nll_loss" else 0.9,
        first_step=_first_step(one, plain=plain),
        since=0,
    )


def _first_step(one: LossInputs, *, plain: bool) -> str:
    if plain:
        return "Replace softmax by log_softmax at the end of the model."
    if one.name == "nll_loss":
        return "Use F.cross_entropy, which takes logits, or end the model in log_softmax(dim=1)."
    return "Pass F.log_softmax(output, dim=1) to F.kl_div."


def _dimensions(one: LossInputs) -> list[int]:
    """Where the classes may lie; none where the loss wants no log-probabilities."""
    if one.name == "nll_loss" and one.class_dimension is not None:
        return [one.class_dimension]
    if one.name == "kl_div":
        return [d for d, size in enumerate(one.output_shape) if size > 1 and (d > 0 or len(one.output_shape) == 1)]
    return []


def _cut(one: LossInputs, cut: float) -> Finding | None:
    """A clamp where binary_cross_entropy expects a sigmoid."""
    if one.name != "binary_cross_entropy" or not one.last or one.last[0] not in CUT:
        return None
    before = next((name for name in one.last if name not in CUT), "")
    if before in SQUASHED or one.ends is None or one.ends < cut:
        return None
    return Finding(
        message=f"The loss binary_cross_entropy expects probabilities and gets scores that a "
        f"{one.last[0]} cuts to [0, 1]: {one.ends:.0%} of them sit at an end, where no gradient passes.",
        numbers=(Number(text=f"{one.ends:.0%} at the ends", value=one.ends, threshold=cut),),
        confidence=0.9,
        first_step=f"Remove the {one.last[0]} and use F.binary_cross_entropy_with_logits.",
        since=0,
    )
