"""A part of the training data is never used: every epoch takes the same samples and leaves out the same others.

## What it does

Counts the samples of an epoch against the length of the data set, less what is validated on from the same data set,
and looks whether the second epoch takes the samples of the first again. Fires where more than a tenth is left out and
what is taken is the same each time.

An epoch that takes another part each time is no fault: everything is seen in the end. Nor is a weighted sampler, a
data set without a length, or a loop that counts steps. A sampler over chosen indices is said as a note.

## Why it hurts

The samples were paid for, and nobody notices that they are missing.

## Example

    for step, (x, y) in enumerate(train_loader):  # shuffle=False
        if step == 10:  # left from debugging
            break

## When it is wrong

Where the training data are augmented at random, the samples of two epochs cannot be compared, and only a loader that
does not shuffle is judged. Other ranks of a distributed run see the rest.

## References

- PyTorch, torch.utils.data: drop_last drops the last incomplete batch, and samplers decide which indices are used.
  https://docs.pytorch.org/docs/stable/data.html
"""

from __future__ import annotations

from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule

ELSEWHERE = {"DistributedSampler", "WeightedRandomSampler"}  # the rest is on other ranks, or comes in time
CHOSEN = {"SubsetRandomSampler"}  # indices that the user gave
FEW_AGAIN = 0.1  # of the samples found again: a convention, the values differ each time


@rule(
    kind="data",
    needs=["train_identities"],
    remedies=["use_all_samples", "shuffle"],
    explains=["data_scarcity", "overfitting"],
)
def samples_never_seen(
    run: Evidence,
    *,
    left_out: Annotated[
        float, Convention("a tenth of the data: an incomplete last batch is less, but in tiny data sets")
    ] = 0.1,
) -> Finding | None:
    sampler = run.table("train_identities").get("sampler")
    if run.info.step_based or sampler in ELSEWHERE:
        return None
    size = run.entry("train_identities", "data_set") - run.entry("train_identities", "shared", 0.0)
    given = run.entry("train_identities", "given")
    taken = given / size if size > 0 else 1.0
    if taken > 1.0 - left_out:
        return None
    ordered = sampler == "SequentialSampler"
    again = run.entry("train_identities", "again", 0.0)
    if again < FEW_AGAIN and not ordered:
        return None  # values change from epoch to epoch: the samples cannot be told
    if again >= FEW_AGAIN and again < (1.0 + taken) / 2:
        return None  # nearer to a new choice each epoch, which finds the share `taken` again, than to the same one
    return Finding(
        message=f"{1 - taken:.0%} of the training data are never seen: an epoch takes {given:.0f} of {size:.0f} "
        "samples, the same ones each time.",
        numbers=(Number(text=f"left out {1 - taken:.2f}", value=1 - taken, threshold=left_out),),
        confidence=0.9 if again >= FEW_AGAIN else 0.75,
        first_step="Look at what ends the epoch early (a break, an islice, drop_last with large batches) or at the "
        "sampler's indices.",
        since=0,
        severity="note" if sampler in CHOSEN else "problem",
    )
