"""The model ends in a softmax or a sigmoid, and the loss, which expects logits, applies another one.

## What it does

Fires where what reaches `cross_entropy` is the result of a softmax or a sigmoid, or sums to one over the classes in
every batch that was looked at; and where what reaches `binary_cross_entropy_with_logits` is the result of a sigmoid or
a softmax. The operation is read from the autograd graph, the sums from the numbers themselves, so that a softmax
written out by hand is found too. So is a `log_softmax` of such probabilities, before `nll_loss` or `cross_entropy`. A
`log_softmax` of logits before `cross_entropy` is superfluous and changes nothing: its exponentials sum to one already;
the rule is silent there.

## Why it hurts

Probabilities differ by at most 1, so that the second softmax is nearly flat: with ten classes the cross entropy of a
perfect answer is 1.46 and not 0. The gradient passes through two softmaxes and is small exactly where the model is
sure and wrong. Training is slow, stops early, and the loss cannot be read as a likelihood.

## Example

    model = nn.Sequential(nn.Linear(64, 10), nn.Softmax(dim=1))
    loss_fn = nn.CrossEntropyLoss()  # takes the softmax itself

## When it is wrong

Scores that are confined to [0, 1] on purpose, for example a similarity that a temperature did not scale yet, look the
same where they come from a sigmoid. In a compiled model the last operation is not seen; then only the sums tell, and
two sigmoids in a row pass unseen.

## References

- PyTorch, CrossEntropyLoss: "The input is expected to contain the unnormalized logits for each class".
  https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
- PyTorch, BCEWithLogitsLoss: "This loss combines a Sigmoid layer and the BCELoss in one single class."
  https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html
"""

from __future__ import annotations

import math
from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.loss_inputs import CLASS_LOSSES, PROBABILITIES, LossInputs, loss_inputs


@rule(
    kind="wiring",
    needs=["loss_inputs"],
    remedies=["drop_output_activation"],
    explains=["optimisation", "signal", "fit", "label_noise", "no_signal"],
    in_source=["softmax_last", "sigmoid_last"],
)
def probabilities_into_logits_loss(
    run: Evidence,
    *,
    rounding: Annotated[float, Convention("|sum - 1| of a thousand bfloat16 probabilities stays below it")] = 0.02,
) -> Finding | None:
    for one in loss_inputs(run):
        operation = _operation(one, rounding)
        if operation:
            return _finding(one, operation)
    return None


def _operation(one: LossInputs, rounding: float) -> str:
    """What made the probabilities; "" where there are none."""
    last = one.last[0] if one.last else ""
    if one.name == "binary_cross_entropy_with_logits":
        return last if last in PROBABILITIES else ""
    dimension = one.class_dimension
    if one.name in CLASS_LOSSES and last == "log_softmax" and one.last[1:2] and one.last[1] in PROBABILITIES:
        return one.last[1]
    if one.name != "cross_entropy" or dimension is None:
        return ""
    if one.is_distribution(dimension, within=rounding):
        return "softmax"
    return last if last in PROBABILITIES - {"softmax"} else ""


def _finding(one: LossInputs, operation: str) -> Finding:
    if one.name in CLASS_LOSSES:
        classes = one.output_shape[one.class_dimension or 0]
        least = math.log(math.e + classes - 1) - 1  # of the right class at 1 and all others at 0
        floor = f"with {classes} classes a perfect answer still costs {least:.2f}"
    else:
        least = math.log1p(math.exp(-1))  # of a positive sample whose probability is 1
        floor = f"a sample that is surely positive still costs {least:.2f}, a negative one {math.log(2):.2f}"
    low, high = one.output
    taker = f"log_softmax before {one.name}" if one.last[:1] == ("log_softmax",) else f"loss {one.name}"
    return Finding(
        message=f"The {taker} expects logits and gets probabilities, the results of a {operation}: {floor}.",
        numbers=(
            Number(text=f"lowest loss {least:.2f}", value=least, threshold=0.0),
            Number(text=f"outputs from {low or 0.0:.2g} to {high or 0.0:.2g}", value=high or 0.0, threshold=1.0),
        ),
        confidence=0.97 if operation != "sigmoid" or one.name != "cross_entropy" else 0.9,
        first_step=f"Remove the {operation} at the end of the model, and apply it only where probabilities are needed.",
        since=0,
    )
