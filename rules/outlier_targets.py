"""A few extreme targets make up most of a squared loss, and the typical target is not met.

## What it does

Fires under a squared loss where targets more than ten robust deviations from the median, at most a tenth of all, hold
more than half of the sum of squares, while the typical residual on the training data is more than half of what
answering the median for every sample would leave.

## Why it hurts

The gradient of a squared error grows with the error: one target that is a hundred deviations away pulls as hard as
a hundred others, and what the model learns is to serve the few.

## Example

    y[y == -999.0]  # the sensor's code for "no reading" is among the targets
    loss = nn.functional.mse_loss(model(x).squeeze(1), y)

## When it is wrong

Where the extremes are what matters, such as floods or claims, a loss that plays them down is no cure; model the
logarithm instead. A model that fails for another reason leaves the same typical residual.

## References

- Huber, Robust Estimation of a Location Parameter, 1964: a loss that grows linearly beyond a bound.
  https://doi.org/10.1214/aoms/1177703732
- NIST/SEMATECH e-Handbook of Statistical Methods, Detection of Outliers: modified z-scores by Iglewicz and Hoaglin,
  from the median and the median absolute deviation. https://www.itl.nist.gov/div898/handbook/eda/section3/eda35h.htm
"""

from __future__ import annotations

from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule


@rule(
    kind="data",
    needs=["targets", "loss", "typical_residual"],
    remedies=["robust_loss"],
    explains=[
        "data_scarcity",
        "exploding_gradients",
        "excessive_clipping",
        "learning_rate_too_high",
        "learning_rate_too_low",
        "no_signal",
        "oscillating_loss",
        "overfitting",
        "slow_convergence",
        "too_few_epochs",
        "underfitting",
        "unscaled_targets",
        "unstable_loss",
    ],
)
def outlier_targets(
    run: Evidence,
    *,
    few: Annotated[float, Convention("more than a tenth are no outliers but a part of the data")] = 0.1,
    dominant: Annotated[float, Convention("half of the sum of squares: the rest is outweighed")] = 0.5,
    unmet: Annotated[float, Convention("half of what the median alone leaves: below, the rest is fit as well")] = 0.5,
) -> Finding | None:
    if run.info.task != "regression" or run.fact("loss") != "mse_loss":
        return None
    share, squares = run.entry("targets", "outliers", 0.0), run.entry("targets", "outlier_squares", 0.0)
    residual = run.curve("typical_residual").last
    if not 0 < share < few or squares < dominant or residual < unmet:
        return None
    lowest, highest = run.entry("targets", "least"), run.entry("targets", "greatest")
    median, mad = run.entry("targets", "median"), run.entry("targets", "mad")
    extreme = lowest if median - lowest > highest - median else highest
    return Finding(
        message=f"{share:.2g} of the targets lie far outside, up to {extreme:.4g} around {median:.3g} ± {mad:.2g}, "
        f"hold {squares:.0%} of the sum of squares, and the typical target is not met.",
        numbers=(
            Number(text=f"share of the squares {squares:.2f}", value=squares, threshold=dominant),
            Number(text=f"typical residual {residual:.2f} of the median's", value=residual, threshold=unmet),
        ),
        confidence=0.8,
        first_step="Look at these samples: remove what is no measurement; where they are real, use a Huber loss or "
        "learn the logarithm.",
        since=0,
    )
