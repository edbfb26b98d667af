"""The targets of a regression are far from the scale of 1, and the output never reached them.

## What it does

Fires where the mean or the deviation of the targets is above ten, less than half of their variance is explained on
the training data, and the outputs are somewhere else: their mean is off by more than a quarter of the targets' size,
or they hardly vary, or the fit is much worse than the mean alone would be.

Targets of any size that are reached are left alone. So are losses on another scale than the targets, such as a
Poisson loss of logarithms.

## Why it hurts

Outputs begin near 0. Until the last layer has grown a thousandfold all that is learnt is the mean, by steps whose
length is the learning rate; with the large squared errors of the beginning the same steps may also blow up.

## Example

    y = house_price  # 80,000 to 600,000
    loss = nn.functional.mse_loss(model(x).squeeze(1), y)

## When it is wrong

A run with a rate that is too low does not reach targets of ordinary size either; above ten both are true.

## References

- scikit-learn, TransformedTargetRegressor: targets transformed before the fit and back after it.
  https://scikit-learn.org/stable/modules/generated/sklearn.compose.TransformedTargetRegressor.html
"""

from __future__ import annotations

import math
from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule

SAME_SCALE = {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"}  # these compare outputs and targets directly


@rule(
    kind="data",
    needs=["targets", "loss", "clean_train_score", "prediction_mean", "prediction_std"],
    remedies=["standardise_targets"],
    explains=[
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
def unscaled_targets(
    run: Evidence,
    *,
    large: Annotated[float, Convention("a decade above the scale of outputs at the beginning")] = 10.0,
    fit: Annotated[float, Convention("half of the variance: targets that are explained were reached")] = 0.5,
    off: Annotated[float, Convention("a quarter of the targets' size: noise leaves the mean in place")] = 0.25,
    still: Annotated[float, Convention("outputs that vary less than this share of the targets say nothing")] = 0.1,
) -> Finding | None:
    if run.info.task != "regression" or run.fact("loss") not in SAME_SCALE:
        return None
    mean, std = run.entry("targets", "mean"), run.entry("targets", "std")
    size = max(abs(mean), std)
    explained = run.curve("clean_train_score").last
    if size < large or explained > fit:  # NaN: nothing is explained
        return None
    answer, spread = run.curve("prediction_mean").last, run.curve("prediction_std").last
    reached = abs(answer - mean) < off * size and spread > still * std and explained > -1.0
    if reached:
        return None
    blown = not math.isfinite(answer) or not math.isfinite(explained)
    said = "are not finite" if blown else f"are {answer:.3g} ± {spread:.2g} at the end"
    return Finding(
        message=f"The targets are not scaled: they are {mean:.4g} ± {std:.2g}, and the outputs {said}.",
        numbers=(
            Number(text=f"size of the targets {size:.3g}", value=size, threshold=large),
            *(
                ()
                if blown
                else (Number(text=f"R² of the training data {explained:.2f}", value=explained, threshold=fit),)
            ),
        ),
        confidence=0.9 if size > large**1.5 else 0.75,
        first_step="Subtract the targets' mean and divide by their standard deviation, both of the training data; turn "
        "the outputs back the same way.",
        since=0,
    )
