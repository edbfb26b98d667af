"""Many training labels are contradicted by a model that generalises, and learning them by heart does harm.

## What it does

Follows the margin of a fixed part of the training samples over the run: how far the score of a sample's label is above
the highest other. A sample counts as contradicted where its mean margin, in units of the typical one, is clearly
negative: the model is as sure of another class as it is of the right one elsewhere. A hard sample has a margin near
zero.

Fires where, after some epoch, the model contradicts a tenth or more of the training labels beyond the share of
validation that it has wrong, and validation is well above chance: samples that are merely hard are as hard in
validation. It is a note unless the noise does harm, in one of two ways: a fifth or more is contradicted beyond that,
and the model went on to learn a third of these labels by heart, which its accuracy on the same samples shows; or
validation fell while the training labels were never known as well as validation had been, which is no overfitting of
clean labels. Augmented training data are left out: there it may be the input that does not show its label.

## Why it hurts

What is learnt last, in the epochs after the best one, is noise: capacity and epochs go into it, and validation falls.

## Example

    labels = crowd_answers[:, 0]  # one answer a sample, and one in three is a guess

## When it is wrong

Where validation labels are as noisy as training labels, noise and a hard task look alike, and the rule is silent. A
group of samples that is hard and rare in validation looks mislabelled. With two passes over the fixed samples, which
are the least, the estimate is rough.

## References

- Pleiss et al., Identifying Mislabeled Data using the Area Under the Margin Ranking, NeurIPS 2020.
  https://arxiv.org/abs/2001.10528
- Northcutt et al., Pervasive Label Errors in Test Sets Destabilize Machine Learning Benchmarks, 2021: on average
  an estimated 3.3 % or more of the labels of ten common test sets are wrong. https://arxiv.org/abs/2103.14749
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.progress import end, is_finite, noise, smooth

SAME = 0.7  # of the samples of an epoch were in the one before: below, training data are augmented, if only by flips


@rule(
    kind="data",
    needs=["contradicted", "clean_train_score", "val_score", "chance_score"],
    optional=["train_identities"],
    remedies=["early_stopping", "label_smoothing"],
    explains=["data_scarcity", "overfitting", "underfitting"],
)
def label_noise(
    run: Evidence,
    *,
    some: Annotated[
        float, Convention("three times the 3.3 % that Northcutt et al., 2021, found on average, at the least")
    ] = 0.1,
    many: Annotated[float, Convention("a fifth: at most four labels in five can be right")] = 0.2,
    general: Annotated[float, Convention("half of the way from guessing: what does not generalise cannot judge")] = 0.5,
    heart: Annotated[float, Convention("a third of the contradicted labels, learnt all the same")] = 0.33,
    drop: Annotated[
        float, Convention("two points of validation, as for overfitting: less is not worth a training")
    ] = 0.02,
    clear: Annotated[float, Convention("three standard deviations of an epoch: 1 in 740 by chance")] = 3.0,
) -> Finding | None:
    passes, score = run.curve("contradicted"), run.curve("val_score")
    if not is_finite(passes, score) or len(passes) < 2 or not len(score):
        return None
    if run.has("train_identities") and run.entry("train_identities", "again", 1.0) < SAME:
        return None  # augmented: it may be the input that does not show its label
    chance = run.number("chance_score")
    latest = np.searchsorted(score.at, passes.at, side="right") - 1
    wrong = 1.0 - score.values[latest.clip(min=0)]
    # What validation, with clean labels, has wrong is hard and not mislabelled; a later one is of a better model.
    excess = np.where(latest < 0, 0.0, passes.values - wrong)
    at = int(excess.argmax())
    share, beyond, best = float(passes.values[at]), float(excess[at]), int(passes.at[at])
    if beyond < some or wrong[at] > (1.0 - general) * (1.0 - chance):
        return None
    right = run.curve("clean_train_score").last  # of the same samples: with more than 1 - share, some are learnt
    known = max(0.0, right - (1.0 - share)) / share
    learnt = beyond > many and known > heart
    best_score = float(smooth(score.values).max())
    fell = best_score - end(score.values) if right < best_score else 0.0
    harmful = learnt or fell > max(drop, clear * noise(score.values))
    harm = f"; {known:.0%} of them it then learnt by heart" if learnt else ""
    if harmful and not learnt:
        harm = f"; since then validation fell by {fell:.3f}, though the training labels are known to {right:.0%} only"
    return Finding(
        message=f"About {share:.0%} of the training labels are contradicted by the model of epoch {best}, which has "
        f"{wrong[at]:.0%} of validation wrong{harm}.",
        numbers=(
            Number(
                text=f"contradicted {share:.2f}, {beyond:.2f} more than validation has wrong",
                value=beyond,
                threshold=many if learnt else some,
            ),
            Number(text=f"training accuracy {right:.2f} at the end", value=known, threshold=heart),
            Number(text=f"validation fell by {fell:.3f} from its best", value=fell, threshold=drop),
        ),
        confidence=0.85 if learnt else 0.75 if harmful else 0.5,
        first_step="Look at the samples with the lowest margins and correct their labels; until then stop early or "
        "smooth the labels.",
        since=best,
        severity="problem" if harmful else "note",
    )
