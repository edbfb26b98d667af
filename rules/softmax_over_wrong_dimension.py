"""A softmax makes the numbers of a batch sum to one instead of the classes of a sample.

## What it does

Reads the dimension of the last softmax (or log_softmax) from the autograd graph and compares it with where the loss
has its classes. It fires where they differ, and where the output sums to one over the batch, or another dimension, in
every batch that was looked at, and does not do so over the classes. Before a loss that compares element by element,
such as `mse_loss`, only a sum over the batch counts: over the rows of a heat map, say, it is meant.

## Why it hurts

The samples of a batch compete with each other: what is predicted for one depends on which others happen to be there,
and its classes are not compared at all. In evaluation with another batch size the numbers mean something else.

## Example

    F.log_softmax(logits, dim=0)  # (N, C): dim=1 was meant
    nn.Softmax()(logits)  # without dim: the first dimension for 1-D and 3-D inputs

## When it is wrong

A loss that assigns samples to prototypes and balances them over the batch normalises over the batch on purpose. A
softmax in the middle of a model, as in attention, is not looked at.

## References

- PyTorch, Softmax, dim: "A dimension along which Softmax will be computed (so every slice along dim will sum to 1)."
  https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html
- PyTorch, nn/functional.py, _get_softmax_dim: without dim the first dimension is taken for 0, 1 and 3 dimensions, else
  the second. https://github.com/pytorch/pytorch/blob/main/torch/nn/functional.py
"""

from __future__ import annotations

from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.loss_inputs import BINARY_LOSSES, DISTANCES, LossInputs, loss_inputs


@rule(
    kind="wiring",
    needs=["loss_inputs"],
    remedies=["softmax_over_classes"],
    explains=[
        "optimisation",
        "signal",
        "fit",
        "examples_mixed_in_batch",
        "label_noise",
        "logits_into_probability_loss",
        "no_signal",
    ],
)
def softmax_over_wrong_dimension(
    run: Evidence,
    *,
    rounding: Annotated[float, Convention("|sum - 1| of a thousand bfloat16 probabilities stays below it")] = 0.02,
    far: Annotated[float, Convention("|sum - 1| over the classes: half precision stays below 0.02")] = 0.1,
) -> Finding | None:
    for one in loss_inputs(run):
        found = _by_graph(one) or _by_sums(one, rounding, far)
        if found is not None:
            dimension, shape, sure = found
            return _finding(one, dimension, shape, sure)
    return None


Found = tuple[int, tuple[int, ...], float]  # dimension of the softmax, shape of what it gave, confidence


def _by_graph(one: LossInputs) -> Found | None:
    """The last operation is a softmax, and its dimension is not that of the classes."""
    if one.softmax is None:
        return None
    dimension, shape = one.softmax
    if len(shape) < 2 or shape[dimension] < 2:
        return None
    classes = one.class_dimension
    if classes is not None:
        wrong = dimension != classes if shape == one.output_shape else shape[dimension] != one.output_shape[classes]
        return (dimension, shape, 0.97) if wrong else None
    batch = dimension == 0 and len(shape) in (2, 4) and shape[0] == one.output_shape[0]
    if one.own and batch and shape == one.output_shape and shape[0] != shape[1]:  # square: pairs of a contrastive loss
        labels = one.target_dtype.startswith(("int", "uint")) and one.target_shape == (shape[0], *shape[2:])
        return (dimension, shape, 0.95) if labels else None
    return (dimension, shape, 0.95) if batch and one.name in DISTANCES | BINARY_LOSSES | {"kl_div"} else None


def _by_sums(one: LossInputs, rounding: float, far: float) -> Found | None:
    """Sums over another dimension are one, and over the classes they are not."""
    classes, shape = one.class_dimension, one.output_shape
    if classes is None:
        two = len(shape) == 2 and min(shape) > 1 and one.name in DISTANCES | BINARY_LOSSES | {"kl_div"}
        classes, others = 1, [0] if two else []
    else:
        others = [d for d in range(len(shape)) if d != classes]
    for logarithm in (False, True):
        for d in others:
            sums = one.is_distribution(d, within=rounding, logarithm=logarithm)
            if sums and one.misses_one(classes, by=far, logarithm=logarithm):
                return d, shape, 0.95
    return None


def _finding(one: LossInputs, dimension: int, shape: tuple[int, ...], sure: float) -> Finding:
    what = "the samples of the batch" if dimension == 0 else "positions"
    low, high = one.output
    return Finding(
        message=f"The softmax before {one.name} runs over dimension {dimension} of {shape}: {what} sum to one, not the "
        "classes of a sample.",
        numbers=(
            Number(text=f"dimension {dimension} has {shape[dimension]} entries", value=float(shape[dimension])),
            Number(text=f"outputs from {low or 0.0:.3g} to {high or 0.0:.3g}", value=high or 0.0),
        ),
        confidence=sure,
        first_step="Take the softmax out and use F.cross_entropy on the logits, or set dim to that of the classes.",
        since=0,
    )
