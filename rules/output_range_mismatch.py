"""The model's last operation cannot give the values that the targets have, or that a sure answer needs.

## What it does

Reads from the autograd graph which values the last operation can give: a ReLU none below 0, a tanh none beyond ±1,
a sigmoid none outside [0, 1]. Before a loss that measures a distance it fires where more than one target in twenty
lies outside. Before a loss that takes logits it computes the loss of the best answer within the range, and fires where
that is far from 0: behind a tanh ten classes cost at least 0.80, behind a ReLU no probability is below one half. A ReLU
before `cross_entropy` can be sure, but gives no gradient where it is 0: it is a finding where a quarter of the logits
are exactly 0 in every batch and the fit is poor.

## Why it hurts

What lies outside cannot be learned: the model settles at the end of its range, where most activations have no
gradient left, and the loss stays up as if the task were too hard.

## Example

    model = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 1), nn.ReLU())  # for standardised targets

## When it is wrong

Targets that leave the range because they are wrong, such as sensor errors below zero, are cut off on purpose. Ranges
behind further arithmetic than a product with a number are not known, and the rule is silent there.

## References

- Goodfellow, Bengio and Courville, Deep Learning, 2016, 6.2.2: output units go with the distribution of the targets;
  a thresholded linear unit has no gradient outside. https://www.deeplearningbook.org/contents/mlp.html
- PyTorch, nn.Tanh, nn.Sigmoid, nn.ReLU: their ranges.
  https://docs.pytorch.org/docs/stable/nn.html#non-linear-activations-weighted-sum-nonlinearity
"""

from __future__ import annotations

import math
from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.loss_inputs import DISTANCES, PROBABILITIES, LossInputs, loss_inputs
from advisor.progress import skill


@rule(
    kind="wiring",
    needs=["loss_inputs"],
    optional=["clean_train_score", "chance_score"],
    remedies=["drop_output_activation"],
    explains=["optimisation", "signal", "fit", "label_noise", "no_signal", "outlier_targets"],
)
def output_range_mismatch(
    run: Evidence,
    *,
    outside: Annotated[float, Convention("one target in twenty: fewer are outliers")] = 0.05,
    floor: Annotated[float, Convention("nats: a probability of 0.86 for the right class at best")] = 0.15,
    zeros: Annotated[float, Convention("a quarter of the logits exactly 0 in every batch")] = 0.25,
    fit: Annotated[float, Convention("nine tenths of the way from guessing: it does not hurt then")] = 0.9,
) -> Finding | None:
    good = run.has("clean_train_score") and run.has("chance_score") and skill(run) > fit
    for one in loss_inputs(run):
        finding = _beyond(one, outside) or _unsure(one, floor) or (None if good else _flat(one, zeros))
        if finding is not None:
            return finding
    return None


def _beyond(one: LossInputs, outside: float) -> Finding | None:
    """Targets that cannot be reached."""
    share, (low, high) = one.target_outside, one.target
    compared = one.measures in DISTANCES and one.target_shape == one.output_shape
    if not compared or share is None or share <= outside or low is None or high is None:
        return None
    return Finding(
        message=f"The model ends in a {_last(one)}, which gives nothing {_outside(one)}, but {share:.0%} of the "
        f"targets lie there: they run from {low:.3g} to {high:.3g}.",
        numbers=(Number(text=f"{share:.0%} of the targets out of reach", value=share, threshold=outside),),
        confidence=0.97 if share > 3 * outside else 0.8,
        first_step=f"Remove the {_last(one)} at the end of the model, or scale the targets into its range.",
        since=0,
    )


def _unsure(one: LossInputs, floor: float) -> Finding | None:
    """Logits that are confined so that no answer can be sure."""
    low, high = (-math.inf if one.bounds[0] is None else one.bounds[0], one.bounds[1])
    if not one.last or one.last[0] in PROBABILITIES | {"log_softmax"}:
        return None  # another fault
    if one.name == "cross_entropy" and one.class_dimension is not None and high is not None and math.isfinite(low):
        least = math.log1p((one.output_shape[one.class_dimension] - 1) * math.exp(low - high))
    elif one.name == "binary_cross_entropy_with_logits":
        positive = math.log1p(math.exp(-high)) if high is not None else 0.0
        negative = math.log1p(math.exp(low)) if math.isfinite(low) else 0.0
        least = max(positive, negative)
    else:
        return None
    if least <= floor:
        return None
    return Finding(
        message=f"The loss {one.name} takes logits, and the model ends in a {_last(one)}, which gives nothing "
        f"{_outside(one)}: even the best answer costs {least:.2f}.",
        numbers=(Number(text=f"lowest loss {least:.2f}", value=least, threshold=floor),),
        confidence=0.95,
        first_step=f"Remove the {_last(one)} at the end of the model: logits have no bounds.",
        since=0,
    )


def _flat(one: LossInputs, zeros: float) -> Finding | None:
    """A ReLU before cross_entropy, many of whose results are 0."""
    if one.name != "cross_entropy" or not one.last or one.last[0] != "relu" or (one.zeros or 0.0) < zeros:
        return None
    share = one.zeros or 0.0
    return Finding(
        message=f"The loss cross_entropy takes logits, and the model ends in a ReLU: at least {share:.0%} of them "
        "are 0 in every batch and pass no gradient.",
        numbers=(Number(text=f"{share:.0%} exact zeros", value=share, threshold=zeros),),
        confidence=0.85,
        first_step="Remove the ReLU at the end of the model: logits have no bounds.",
        since=0,
    )


def _last(one: LossInputs) -> str:
    return {"relu": "ReLU", "mul": "scaled activation"}.get(one.last[0], one.last[0]) if one.last else "bound"


def _outside(one: LossInputs) -> str:
    low, high = one.bounds
    if low is None or high is None:
        return f"below {low:.3g}" if low is not None else f"above {high or 0.0:.3g}"
    return f"outside [{low:.3g}, {high:.3g}]"
