"""Validation samples are copies of training samples, so that the validation score is too good.

## What it does

Recognises samples by their values, in what was read of the first two epochs. Fires where a tenth or more of the
validation samples were among the training samples, bit for bit, or where two subsets of one data set share indices.

A loop that cuts its batches by hand is compared in its first epoch, by what the model was asked. Where it evaluates the
training samples beside others, that is no validation, and only the others count; where it evaluates no others, a note
says so.

Inputs that are bound to repeat are left alone: those that a few bits can name, such as some yes-or-no columns, and
data in which samples repeat within the training data just as often. Rows of tokens repeat by themselves, as sentences
and passages do: there it is a note up to half of the samples.

## Why it hurts

The score says how well the model remembers, and model selection by it prefers those that remember best. Expect the
score to fall when the split is repaired: the lower one is true.

## Example

    x, y = oversample(x, y)       # copies of the rare class
    x_train, x_val = split(x)     # after the copies were made

## When it is wrong

Copies that differ in a bit, by augmentation or rounding, are not recognised, nor are samples of the same patient or
scene. Where only a part of the data was read, the share that is given is a lower bound.

## References

- Barz and Denzler, Do we train on test data? Purging CIFAR of near-duplicates, 2020: 3.3 % and 10 % of the test images
  of CIFAR-10 and CIFAR-100 have duplicates in training; without them scores drop. https://arxiv.org/abs/1902.00423
- Kaufman et al., Leakage in Data Mining, 2012: a learn-predict separation, as a way to avoid leakage.
  https://doi.org/10.1145/2382577.2382579
"""

from __future__ import annotations

from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule

TOKENS = 5.0  # times the bound for rows of tokens: half of validation does not repeat by itself
MANY_COPIES = 0.3  # of the training samples: so many are made, as by oversampling, and do not happen


@rule(
    kind="data",
    needs=[],
    optional=["val_identities", "train_identities", "evaluated"],
    remedies=["leave_out_copies"],
    explains=["data_scarcity", "too_few_epochs"],
)
def train_val_leakage(
    run: Evidence,
    *,
    copies: Annotated[
        float, Convention("as many as CIFAR-100 has near-duplicates of training images, by Barz and Denzler, 2020")
    ] = 0.1,
    bits: Annotated[float, Convention("a million samples that 40 bits name meet by chance once in a million")] = 40.0,
) -> Finding | None:
    if not run.has("val_identities") or not run.has("train_identities"):
        return _by_hand(run, copies)
    read, found = run.entry("val_identities", "read"), run.entry("val_identities", "in_training")
    given = max(read, run.entry("val_identities", "given", read))
    shared = run.entry("val_identities", "shared_indices", 0.0)
    share = max(found / read if read > 0 else 0.0, shared / given if given > 0 else 0.0)
    repeats = run.entry("train_identities", "copies", 0.0)
    if share < copies:
        return None
    if shared < copies * given:  # told by their values alone
        natural = repeats < MANY_COPIES and share < 2 * repeats
        if natural or run.entry("val_identities", "bits", 0.0) < bits:
            return None
    minor = run.table("val_identities").get("tokens") is True and share < TOKENS * copies and shared < copies * given
    return Finding(
        message=f"{share:.0%} of the validation samples are also training samples, so that the validation score is "
        "too good.",
        numbers=(Number(text=f"{share:.2f} of {read:.0f} validation samples", value=share, threshold=copies),),
        confidence=0.95 if share > 2 * copies else 0.85,
        judge="val_gap",
        first_step="Split before copying, oversampling or cutting into windows, and check that no index is in both "
        "parts; the score will fall, and then it is true.",
        since=0,
        severity="note" if minor else "problem",
    )


def _by_hand(run: Evidence, copies: float) -> Finding | None:
    """Of a loop without loaders."""
    given, found = run.entry("evaluated", "given"), run.entry("evaluated", "in_training")
    share = found / given if given > 0 else 0.0
    if share < copies or share < 2 * run.entry("evaluated", "copies"):
        return None
    numbers = (Number(text=f"{share:.2f} of {given:.0f} evaluated samples", value=share, threshold=copies),)
    if share == 1.0:
        return Finding(
            message="The loop evaluates training samples only, so that nothing here says how new ones would fare.",
            numbers=numbers,
            confidence=0.95,
            first_step="Set a part of the data aside before training, and evaluate on it as well.",
            since=0,
            severity="note",
        )
    return Finding(
        message=f"{share:.0%} of the validation samples are also training samples: the validation score is too good.",
        numbers=numbers,
        confidence=0.95 if share > 2 * copies else 0.85,
        judge="val_gap",
        first_step="Evaluate on samples that no step was made with; the score will fall, and then it is true.",
        since=0,
    )
