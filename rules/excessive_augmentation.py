"""The augmented training data are much harder than the real ones: little of what they show is left.

## What it does

Fires where the training data change from epoch to epoch, in eval mode the model is less than two thirds of the way
from guessing to a perfect fit of them, validation is not good either, and one of two things is seen: validation data,
which are not augmented, are fit much better than the augmented ones; or what is added by augmentation outweighs the
data, so that training inputs have more than twice the variance of validation inputs.

Strong augmentation that works is left alone: training is hard then, and validation is good.

## Why it hurts

A transform that destroys what the label depends on, such as flipping digits or drowning images in noise, teaches the
model to ignore it. Capacity is spent on samples that will never be met.

## Example

    # a six may come out as a nine, and most of what is left is noise
    transform = v2.Compose([v2.RandomRotation(180), v2.RandomResizedCrop(28, scale=(0.1, 1.0)), AddNoise(1.5)])

## When it is wrong

A hard task may be as far from a perfect fit with gentle augmentation; try a run without it. Targets that are mixed with
the inputs cannot be compared and are left out.

## References

- Shorten and Khoshgoftaar, A survey on Image Data Augmentation for Deep Learning, 2019: the safety of an augmentation
  is its likelihood of preserving the label; flips do not preserve it for digits, as in MNIST and SVHN.
  https://doi.org/10.1186/s40537-019-0197-0
"""

from __future__ import annotations

from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.progress import end, is_finite, skill


@rule(
    kind="fit",
    needs=["train_identities", "clean_train_score", "val_score", "chance_score"],
    optional=["val_identities", "inputs"],
    remedies=["weaker_augmentation"],
    explains=[
        "learning_rate_too_low",
        "over_regularised",
        "slow_convergence",
        "too_few_epochs",
        "train_val_mismatch",
        "underfitting",
    ],
)
def excessive_augmentation(
    run: Evidence,
    *,
    same: Annotated[
        float, Convention("of the samples were in the epoch before: eight turns and flips leave one in eight")
    ] = 0.3,
    hard: Annotated[float, Convention("two thirds of the way from guessing: above, training data can be read")] = 0.67,
    left: Annotated[float, Convention("a tenth of the way: validation with less to gain needs no help")] = 0.1,
    ahead: Annotated[
        float, Convention("of the way that validation is ahead: dropout alone gives less in eval mode")
    ] = 0.15,
    noise: Annotated[float, Convention("times the variance of validation inputs: more is added than was there")] = 2.0,
) -> Finding | None:
    if run.info.task == "regression" or run.entry("train_identities", "again") > same:
        return None
    if run.entry("train_identities", "data_set", 0.0) <= 0 or not is_finite(run.curve("val_score")):
        return None  # a stream: every sample is new by itself
    chance = run.number("chance_score")
    train, val = skill(run), (end(run.curve("val_score").values) - chance) / max(1.0 - chance, 1e-9)  # one class
    if not train < hard or 1.0 - val < left:
        return None
    ratio = run.entry("inputs", "spread", 1.0) if run.has("inputs") else 1.0
    added = 1.0 / ratio**2 if ratio > 0 else 1.0
    fixed = not run.has("val_identities") or run.entry("val_identities", "again", 1.0) > same
    if added > noise:
        said = f"training inputs have {added:.1f} times the variance of validation inputs"
        number = Number(text=f"variance {added:.2g} times", value=added, threshold=noise)
    elif fixed and val - train > ahead:
        said = "validation data, which are not augmented, are much easier"
        number = Number(text=f"validation is ahead by {val - train:.2f}", value=val - train, threshold=ahead)
    else:
        return None
    shown = run.curve("clean_train_score").last
    return Finding(
        message=f"The augmentation is too strong: in eval mode the model is right on {shown:.3f} of the augmented "
        f"training data and on {end(run.curve('val_score').values):.3f} of validation, and {said}.",
        numbers=(
            number,
            Number(text=f"fit of the training data {train:.2f} (0 is guessing)", value=train, threshold=hard),
        ),
        confidence=0.85 if added > noise else 0.65,
        first_step="Look at ten augmented samples: can you still name them? Turn transforms off one by one.",
        since=0,
    )
