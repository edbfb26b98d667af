"""Validation data differ from training data in their inputs or classes, so that validation measures something else.

## What it does

Compares the inputs of the two, feature by feature (a column, a channel), as the model gets them. Fires where the
typical feature's mean is off by more than half of its standard deviation, one feature's by more than five, or the
typical deviation is less than half or more than twice as large; or where a good part of the validation samples is of
classes that training never shows. In addition validation must do clearly worse than the training data in eval mode.

Fires as well where nothing of that is seen, yet a plain reference (nearest neighbours, kernel ridge regression)
predicts training samples from each other, the model fits them, and no validation score is above guessing: what holds in
training does not hold there.

Where the training data change from epoch to epoch, augmentation explains a difference in spread, and only means
count. Small validation sets differ by chance; their noise is added to each bound. Training data that come in the
order of their labels are not compared. Without a worse score it is a note.

## Why it hurts

The score measures how well the model bears the difference. Nothing that is tuned by it means anything.

## Example

    train_x = (train_x - mean) / std
    val_x = torch.tensor(val_raw)  # not standardised

## When it is wrong

A split by time, person or place may differ as much on purpose: then the finding is true, and it is what the score is
for. Channels in another order or another crop leave means and deviations alike; they are seen where they cost all of
the score.

## References

- Stanford CS231n, Neural Networks 2, data preprocessing: statistics are computed on the training data and then
  applied equally to training, validation and test data. https://cs231n.github.io/neural-networks-2/#datapre
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.progress import end, share_error, skill, smooth

SAME = 0.7  # of the samples of an epoch were in the one before: below, training data are augmented, if only by flips
MIXED = 0.8  # of what random batches mix
CHANCE_R2 = 0.06  # three times two per cent of the variance: so little is nothing
NOISE = 3.0  # standard errors that a mean may be off by chance


@rule(
    kind="data",
    needs=["inputs"],
    optional=[
        "clean_train_loss",
        "val_loss",
        "clean_train_score",
        "val_score",
        "train_identities",
        "batch_mixing",
        "label_counts",
        "val_classes",
        "chance_score",
        "val_samples",
        "probe.reference",
    ],
    explains=["data_scarcity", "no_signal", "oscillating_loss", "overfitting", "too_few_epochs", "unstable_loss"],
)
def train_val_mismatch(
    run: Evidence,
    *,
    typical: Annotated[float, Convention("standard deviations: half of one in the typical feature is no chance")] = 0.5,
    single: Annotated[float, Convention("standard deviations: means of one feature that do not overlap at all")] = 5.0,
    spread: Annotated[float, Convention("times the training data's deviation, or its inverse")] = 2.0,
    unknown: Annotated[float, Convention("of the validation samples are of classes that training never shows")] = 0.2,
    follows: Annotated[float, Convention("of the way from guessing: the training labels follow from the inputs")] = 0.5,
    gap: Annotated[float, Convention("ten points of the score: the harm")] = 0.1,
    loss: Annotated[float, Convention("times the training loss in eval mode: the harm, where the score agrees")] = 1.5,
) -> Finding | None:
    found = _classes(run, unknown) or _inputs(run, typical, single, spread) or _scores(run, follows)
    if found is None:
        return None
    what, number, first_step = found
    harm = _harm(run, gap, loss)
    return Finding(
        message=f"Validation is not like training: {what}{f', and {harm}' if harm else ''}.",
        numbers=(number,),
        confidence=0.9 if harm else 0.6,
        judge="",
        first_step=first_step,
        since=0,
        severity="problem" if harm else "note",
    )


def _inputs(run: Evidence, typical: float, single: float, spread: float) -> tuple[str, Number, str] | None:
    if run.has("batch_mixing") and run.number("batch_mixing") < MIXED:
        return None  # sorted training data of which a part was read
    rows = run.entry("inputs", "val_rows")
    chance = NOISE / math.sqrt(max(1.0, rows))
    shifts, shift = run.entry("inputs", "typical_shift", 0.0), run.entry("inputs", "shift")
    ratio = run.entry("inputs", "spread", 1.0)
    augmented = run.has("train_identities") and run.entry("train_identities", "again", 1.0) < SAME
    first_step = "Send validation inputs through the same preparation as training inputs, with the numbers of training."
    before, after = (
        f"{run.entry('inputs', f'{phase}_mean'):.3g} ± {run.entry('inputs', f'{phase}_std'):.3g}"
        for phase in ("train", "val")
    )
    said = f"inputs are {before} in training and {after} in validation"
    if shifts > typical + chance:
        return said, Number(text=f"typical shift {shifts:.2g} deviations", value=shifts, threshold=typical), first_step
    if not augmented and not 1 / (spread + chance) < ratio < spread + chance:
        return said, Number(text=f"{ratio:.2g} of the spread of training", value=ratio, threshold=spread), first_step
    if shift > single + chance:
        which = run.entry("inputs", "shifted_feature", 0.0)
        said = f"the mean of input feature {which:.0f} is {shift:.2g} standard deviations away"
        return said, Number(text=f"largest shift {shift:.2g} deviations", value=shift, threshold=single), first_step
    return None


def _classes(run: Evidence, unknown: float) -> tuple[str, Number, str] | None:
    if not run.has("label_counts") or not run.has("val_classes"):
        return None
    learnt, there = run.table("label_counts").get("count"), run.table("val_classes").get("count")
    if not isinstance(learnt, list) or not isinstance(there, list) or len(learnt) != len(there):
        return None
    train = np.array([v if isinstance(v, int | float) else 0.0 for v in learnt])
    val = np.array([v if isinstance(v, int | float) else 0.0 for v in there])
    new = (train == 0) & (val > 0)
    share = float(val[new].sum() / val.sum()) if val.sum() > 0 else 0.0
    if share < unknown or train.sum() < len(train) * 10:  # ten of each class: a missing one is then no chance
        return None
    said = f"{share:.0%} of its samples are of {int(new.sum())} classes that training never shows"
    number = Number(text=f"share of unknown classes {share:.2f}", value=share, threshold=unknown)
    return said, number, "Shuffle the data before they are split, or split each class by itself."


def _scores(run: Evidence, follows: float) -> tuple[str, Number, str] | None:
    """What can be predicted in training and by nobody in validation."""
    if not all(run.has(name) for name in ("chance_score", "val_score", "clean_train_score", "probe.reference")):
        return None
    chance = run.number("chance_score")
    guess = run.entry("probe.reference", "chance", chance)
    reference = (run.entry("probe.reference", "score") - guess) / (1 - guess) if guess < 1 else 0.0
    rows = run.number("val_samples") if run.has("val_samples") else math.inf
    error = CHANCE_R2 if run.info.task == "regression" else NOISE * share_error(chance, rows)
    best = float(smooth(run.curve("val_score").values).max())
    if not skill(run) > follows or not reference > follows or not best < chance + error:
        return None
    score = run.entry("probe.reference", "score")
    return (
        f"a plain reference predicts training samples from each other with a score of {score:.3f}, and in validation "
        f"nothing is better than guessing ({chance:.3f})",
        Number(text=f"reference {reference:.2f} of the way from guessing", value=reference, threshold=follows),
        "Compare ten validation samples and their labels with training: how classes are numbered, how inputs are "
        "scaled and ordered, and whether they are of other persons, places or times.",
    )


def _harm(run: Evidence, gap: float, loss: float) -> str:
    """What validation suffers, as a clause; "" for nothing."""
    worse = ""
    if run.has("clean_train_loss") and run.has("val_loss"):
        train, val = run.curve("clean_train_loss").last, end(run.curve("val_loss").values)
        if not val < loss * train:  # NaN is harm
            worse = f"its loss is {val:.3g} where training data have {train:.3g}"
    if not run.has("clean_train_score") or not run.has("val_score"):
        return worse
    train, val = run.curve("clean_train_score").last, end(run.curve("val_score").values)
    if train - val > gap:
        return f"its score is {val:.3f} where training data have {train:.3f}"
    rows = run.number("val_samples") if run.has("val_samples") else 1.0
    chance = CHANCE_R2 if run.info.task == "regression" else NOISE * share_error(min(1.0, max(0.0, val)), rows)
    return "" if train - val <= chance else worse  # a NaN decides nothing
