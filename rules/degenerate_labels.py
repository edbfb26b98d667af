"""The targets cannot be learnt from: all the same, not a number, outside of the loss's range, or all ignored.

## What it does

Reads the targets as the loss gets them. Fires where they are all equal; where some are NaN or infinite; where those
of a binary cross entropy lie outside of [0, 1], such as labels of -1 and 1; or where nearly all class labels are
negative, which is how labels are marked as not to be counted.

## Why it hurts

With one label only, the constant answer is perfect and nothing is learnt; any score of it looks excellent. Outside
of its range a binary cross entropy has no minimum and falls for ever.

## Example

    y = torch.tensor(probability).long()  # 0.93 becomes 0, and so does everything else

## When it is wrong

Targets that are constant for the first thousands of samples and vary later, in data that are sorted and huge, are
taken for constant. Each loss of a discriminator and of its generator has constant targets: that is left alone as long
as another loss of the same steps has other ones.

## References

- PyTorch, BCEWithLogitsLoss: targets should be numbers between 0 and 1.
  https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html
- Karpathy, A Recipe for Training Neural Networks, 2019: look at the data, their imbalances and their labels first.
  https://karpathy.github.io/2019/04/25/recipe/
"""

from __future__ import annotations

from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule


@rule(
    kind="data",
    needs=["targets"],
    explains=[
        "class_imbalance",
        "dead_units",
        "exploding_gradients",
        "learning_rate_too_high",
        "learning_rate_too_low",
        "no_signal",
        "non_finite_gradients",
        "non_finite_loss",
        "oscillating_loss",
        "overfitting",
        "slow_convergence",
        "too_few_epochs",
        "train_val_mismatch",
        "underfitting",
        "unstable_loss",
        "vanishing_gradients",
    ],
)
def degenerate_labels(
    run: Evidence,
    *,
    enough: Annotated[int, Convention("targets: a constant among fewer may be chance")] = 30,
    nearly: Annotated[float, Convention("one label in two hundred left to learn from is an accident")] = 0.995,
) -> Finding | None:
    values = run.entry("targets", "values")
    if values < enough:
        return None
    broken, outside = run.entry("targets", "not_finite"), run.entry("targets", "outside", 0.0)
    ignored = run.entry("targets", "ignored", 0.0)
    if broken > 0:
        return _finding(
            f"{broken:.2g} of the targets are NaN or infinite.", broken, "Remove or fill in these samples' targets."
        )
    least, greatest = run.entry("targets", "least", 0.0), run.entry("targets", "greatest", 0.0)
    if outside > 0:
        return _finding(
            f"Targets of a binary cross entropy lie between {least:.3g} and {greatest:.3g}, {outside:.0%} of them "
            "outside of [0, 1].",
            outside,
            "Map the labels to 0 and 1.",
        )
    if ignored > nearly:
        return _finding(
            f"{ignored:.1%} of the class labels are negative and not counted.", ignored, "Check how labels are masked."
        )
    if run.entry("targets", "distinct", 0.0) == 1 and not run.entry("targets", "elsewhere", 0.0):
        return _finding(
            f"All {values:.0f} targets that were looked at are {least:.3g}.",
            values,
            "Look at how the labels are made: a conversion to integers, a filter, or one file read for all.",
        )
    return None


def _finding(message: str, value: float, first_step: str) -> Finding:
    number = Number(text=f"{value:.3g} in what was looked at", value=value)
    return Finding(message=message, numbers=(number,), confidence=0.95, first_step=first_step, since=0)
