"""The inputs reach the first layer far from the scale of 1, and the training data are not fit.

## What it does

Looks at what enters the first layer with parameters, in eval mode. Fires where the largest feature has a root mean
square above ten, or where a whole row of inputs has a length below a twentieth, and the model is less than four
fifths of the way from guessing to a perfect fit of those same data.

A model that begins with a normalisation, or has one right after its first layer, does not mind the scale of its
inputs and is left alone, unless the features differ among themselves by orders of magnitude. So is one that fits its
data well all the same. Tokens of an embedding are no inputs to scale, nor are features of which none varies.

## Why it hurts

The gradient of a weight is proportional to its input. Weights of large features make steps that are too long at a
rate at which those of small ones hardly move, and no rate suits both; large inputs also saturate units or kill them.

## Example

    x, y = load_wine(return_X_y=True)  # alcohol is near 13, proline near 750
    model = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 3))

## When it is wrong

Adaptive optimizers get along with inputs in the tens, given time; a bad fit of other origin is then blamed on the
scale. Features of very different scale below ten are not reported.

## References

- LeCun et al., Efficient BackProp, 1998, section 4.3: inputs should have an average close to zero and about the same
  covariance. https://doi.org/10.1007/3-540-49430-8_2
- Stanford CS231n, Neural Networks 2, data preprocessing: features should be of approximately the same scale.
  https://cs231n.github.io/neural-networks-2/#datapre
"""

from __future__ import annotations

import math
from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.progress import skill


@rule(
    kind="data",
    needs=["first_layer_input", "clean_train_score", "chance_score"],
    remedies=["standardise_inputs"],
    explains=[
        "bad_initialization",
        "dead_units",
        "excessive_clipping",
        "exploding_gradients",
        "learning_rate_too_high",
        "learning_rate_too_low",
        "no_signal",
        "non_finite_gradients",
        "non_finite_loss",
        "oscillating_loss",
        "saturated_units",
        "slow_convergence",
        "too_few_epochs",
        "underfitting",
        "unstable_loss",
        "vanishing_gradients",
    ],
)
def unscaled_inputs(
    run: Evidence,
    *,
    large: Annotated[float, Convention("a decade above the scale of 1 that initialisations assume")] = 10.0,
    short: Annotated[float, Convention("below, biases of the usual size outweigh all that a row says")] = 0.05,
    uneven: Annotated[float, Convention("two decades between features: no rate suits both")] = 100.0,
    fit: Annotated[float, Convention("four fifths of the way from guessing: what fits needs no scaling")] = 0.8,
) -> Finding | None:
    largest = run.entry("first_layer_input", "largest")
    smallest = run.entry("first_layer_input", "smallest", math.inf)
    mean, std = run.entry("first_layer_input", "mean"), run.entry("first_layer_input", "std")
    length = math.sqrt(run.entry("first_layer_input", "features") * (mean**2 + std**2))
    differ = largest > uneven * smallest
    reached = skill(run)
    if run.table("first_layer_input").get("smallest") is None and std == 0:
        return None
    if reached > fit or not (largest > large or length < short):  # NaN is no fit
        return None
    first = [str(run.table("first_layer_input").get("kind")), *(layer.kind for layer in run.info.layers[:2])]
    if any("Norm" in kind for kind in first) and not (differ and largest > large):
        return None
    scale = f"features between {smallest:.2g} and {largest:.2g}" if differ else f"a mean of {mean:.2g} ± {std:.2g}"
    return Finding(
        message=f"The inputs are not scaled: the first layer gets {scale}, and the model is only {max(reached, 0):.0%} "
        "of the way from guessing to a fit of its training data.",
        numbers=(
            Number(text=f"largest feature {largest:.3g}", value=largest, threshold=large)
            if largest > large
            else Number(text=f"length of a row {length:.2g}", value=length, threshold=short),
            Number(text=f"fit of the training data {reached:.2f} (0 is guessing)", value=reached, threshold=fit),
        ),
        confidence=0.9 if differ or largest > large**2 else 0.75,
        first_step="Subtract each feature's mean and divide by its standard deviation, both computed on the training "
        "data and used for all data.",
        since=0,
        layers=(str(run.table("first_layer_input").get("layer")),),
    )
