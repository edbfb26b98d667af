"""The loss does not belong to the targets: a distance between class labels, or a likelihood of numbers that are none.

## What it does

Compares the loss function with the targets that reached it. Certain, whatever came of the training:

- `cross_entropy` or `nll_loss` over a single class: softmax over one number is 1, the loss is always 0;
- `cross_entropy` with float targets of the output's shape that are no probabilities, since they do not sum to one;
- a likelihood that is called with its targets first, which are then the prediction, as `kl_div(target, output)`;
- a binary cross entropy whose targets leave [0, 1]; `soft_margin_loss` or `hinge_embedding_loss` with 0 for -1.

A distance (`mse_loss`, `l1_loss` and their kind) of class labels is a matter of degree, since squares can train
classifiers: it is a finding where the fit is not good, else a note. Labels are one-hot rows; whole numbers 0 … C - 1,
about equally frequent, against one output a sample; or zeros and ones against one output a sample.

## Why it hurts

Class numbers have no distances: between 3 and 8 is not 5. Behind a softmax or a sigmoid the gradient of a squared
error vanishes where the model is sure and wrong, and it does not grow with the error as that of a likelihood does.

## Example

    model = nn.Sequential(nn.Linear(64, 10), nn.Softmax(dim=1))
    loss = F.mse_loss(model(x), F.one_hot(y, 10).float())

## When it is wrong

Squared errors on one-hot targets without a softmax can match cross entropy (Hui and Belkin). Whole numbers that are
equally frequent may be quantities, such as an hour of the day. A critic that scores real and generated samples has
constant targets in each call, which are left alone.

## References

- Hui and Belkin, Evaluation of Neural Architectures Trained with Square Loss vs Cross-Entropy in Classification
  Tasks, ICLR 2021: square loss is on a par, without the softmax. https://arxiv.org/abs/2006.07322
- Golik, Doetsch and Ney, Cross-Entropy vs. Squared Error Training, Interspeech 2013: from random weights
  squared error does not converge to a good local optimum. https://doi.org/10.21437/Interspeech.2013-436
- PyTorch, CrossEntropyLoss: targets are class indices or class probabilities.
  https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
"""

from __future__ import annotations

import math
from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.loss_inputs import BINARY_LOSSES, CLASS_LOSSES, DISTANCES, PROBABILITIES, LossInputs, loss_inputs

PLUS_MINUS = {"soft_margin_loss", "hinge_embedding_loss"}  # want targets of -1 and 1


@rule(
    kind="wiring",
    needs=["loss_inputs"],
    optional=["clean_train_score"],
    remedies=["use_cross_entropy"],
    explains=["optimisation", "signal", "fit", "label_noise", "no_signal", "output_range_mismatch", "unscaled_targets"],
)
def wrong_loss_for_task(
    run: Evidence,
    *,
    off: Annotated[float, Convention("|sum - 1| of a row of targets: rounded or smoothed ones stay below")] = 0.1,
    fit: Annotated[float, Convention("R² of the labels: what is fit so well is a choice that works")] = 0.9,
    even: Annotated[float, Convention("most frequent over rarest label: counts and grades are spread wider")] = 4.0,
    most: Annotated[int, Convention("labels: more different whole numbers are quantities")] = 30,
) -> Finding | None:
    for one in loss_inputs(run):
        finding = _impossible(one, off) or _distance(run, one, fit, even, most)
        if finding is not None:
            return finding
    return None


def _impossible(one: LossInputs, off: float) -> Finding | None:
    """Targets that the loss function is not defined for, or an output that it says nothing about."""
    low, high = one.target
    if one.target_first and _cannot_be_the_prediction(one):
        return _certain(
            f"The loss {one.name} is called with its targets first, so that what the model gives is taken for the "
            "target and the target for a prediction.",
            Number(text="targets first", value=1.0, threshold=0.0),
            f"Exchange the two: F.{one.name}(output, target).",
        )
    if one.name in CLASS_LOSSES and len(one.output_shape) > 1 and one.output_shape[1] == 1:
        return _certain(
            f"The loss {one.name} over a single class is 0 for every sample: softmax over one number is 1.",
            Number(text="1 class", value=1.0, threshold=2.0),
            "Use F.binary_cross_entropy_with_logits for two classes, F.mse_loss for a number.",
        )
    if low is None or high is None:
        return None
    if one.name == "cross_entropy" and one.target_dtype.startswith(("float", "bfloat")):
        dimension = one.class_dimension
        sums = (
            one.target_sums_off[dimension] if dimension is not None and dimension < len(one.target_sums_off) else None
        )
        if sums is not None and sums > off and one.target_shape == one.output_shape:
            several = one.target_integer and (low, high) == (0.0, 1.0)
            first = "F.binary_cross_entropy_with_logits, which takes several classes" if several else "F.mse_loss"
            return _certain(
                f"The loss cross_entropy gets targets from {low:.3g} to {high:.3g} that are no probabilities: "
                f"their rows miss a sum of 1 by {sums:.2g}.",
                Number(text=f"rows off by {sums:.2g}", value=sums, threshold=off),
                f"Use {first}, or give class indices.",
                sure=0.8 if several else 0.95,
            )
    if one.name in BINARY_LOSSES and max(high - 1, -low) > off:
        return _certain(
            f"The loss {one.name} gets targets from {low:.3g} to {high:.3g}, which are no probabilities.",
            Number(text=f"targets from {low:.3g} to {high:.3g}", value=max(high - 1, -low), threshold=off),
            "Give targets of 0 and 1, or use F.cross_entropy for several classes, F.mse_loss for numbers.",
        )
    if one.name in PLUS_MINUS and one.target_integer and (low, high) == (0.0, 1.0):
        return _certain(
            f"The loss {one.name} expects targets of -1 and 1 and gets 0 and 1: samples of class 0 count for nothing.",
            Number(text="lowest target 0", value=0.0, threshold=-1.0),
            "Pass 2 * target - 1.",
        )
    return None


def _cannot_be_the_prediction(one: LossInputs) -> bool:
    """Whether the constants that stand first make no sense there: a divergence is asked both ways round on purpose."""
    low, high = one.target
    if low is None or high is None:
        return False
    if one.name == "kl_div":
        return high > 0  # the logarithm of a probability is not
    return one.name in BINARY_LOSSES | CLASS_LOSSES and one.target_integer and low >= 0 and high <= 1


def _certain(message: str, number: Number, first: str, sure: float = 0.97) -> Finding:
    return Finding(message=message, numbers=(number,), confidence=sure, first_step=first, since=0)


def _distance(run: Evidence, one: LossInputs, fit: float, even: float, most: int) -> Finding | None:
    """A distance between class labels."""
    if one.measures not in DISTANCES or one.enlarged:
        return None
    found = _labels(one, even, most)
    if found is None:
        return None
    what, classes, sure = found
    score = run.curve("clean_train_score").last if run.has("clean_train_score") else math.nan
    measure = "R²" if run.info.task == "regression" else "accuracy"
    good = score >= fit
    last = one.last[0] if one.last else ""
    behind = f" behind a {last}" if last in PROBABILITIES else ""
    numbers = [Number(text=f"{classes} classes", value=float(classes))]
    if math.isfinite(score):
        numbers.append(Number(text=f"{measure} {score:.2f} in training", value=score, threshold=fit))
    return Finding(
        message=f"The loss {one.measures} measures distances{behind}, but the targets are {what}.",
        numbers=tuple(numbers),
        confidence=0.3 if good else 0.95 if behind and "one-hot" in what else sure,
        first_step="Use F.binary_cross_entropy_with_logits on one score a sample, without a sigmoid in the model."
        if classes == 2 and "one-hot" not in what
        else f"Give the model {classes} outputs without a softmax and use F.cross_entropy on class indices.",
        since=0,
        severity="note" if good else "problem",
    )


def _labels(one: LossInputs, even: float, most: int) -> tuple[str, int, float] | None:
    """(what the targets are, how many classes, confidence) where they are labels of classes."""
    rows = one.last[:1] == ("softmax",) and len(one.output_shape) > 1 and "int" in one.target_dtype
    if rows and one.target_shape == (one.output_shape[0], *one.output_shape[2:]):
        return f"labels of {one.output_shape[1]} classes, made one-hot rows", one.output_shape[1], 0.95
    if not one.target_varies:
        return None
    if one.one_hot and one.target_shape == one.output_shape:
        dimension = 1
        return f"one-hot rows of {one.target_shape[dimension]} classes", one.target_shape[dimension], 0.8
    single = math.prod(one.target_shape[1:]) == 1 and math.prod(one.output_shape[1:]) == 1 and len(one.target_shape) > 0
    whole = one.target_integer and one.target[0] == 0 and one.target[1] == (one.distinct or 0) - 1
    if not single or not whole or one.distinct is None or one.distinct < 2:
        return None
    if one.distinct == 2:
        return "zeros and ones, the labels of two classes", 2, 0.75
    if one.distinct > most or (one.most_common or math.inf) > even:
        return None
    return (
        f"whole numbers from 0 to {one.distinct - 1}, about equally frequent: labels",
        one.distinct,
        0.85 if one.labelled else 0.7,
    )
