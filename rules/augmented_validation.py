"""Validation inputs change from epoch to epoch: random transforms are left on.

## What it does

Recognises validation samples by their values. Fires where the samples of the second epoch are not those of the first
although their targets are, in the same order or as a set: the same samples with other inputs.

A stream, whose samples are new each time with their targets, is left alone. Where the targets are numbers, as in
denoising, or the change is tiny, it is said as a note.

## Why it hurts

Scores of two epochs are scores on two data sets. They are lower than they should be and scatter, so that the best
epoch is the luckiest one.

## Example

    train_set = ImageFolder(train_dir, transform=augment)
    val_set = ImageFolder(val_dir, transform=augment)  # meant: the deterministic transform

## When it is wrong

Random crops in validation may be on purpose, to average over; a fixed seed would give the same average without the
scatter.

## References

- PyTorch, Transfer Learning for Computer Vision Tutorial: augmentation and normalisation for training, just
  normalisation for validation. https://docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html
"""

from __future__ import annotations

from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule


@rule(
    kind="data",
    needs=["val_identities"],
    explains=["oscillating_loss", "overfitting", "train_val_mismatch", "underfitting", "unstable_loss"],
)
def augmented_validation(
    run: Evidence,
    *,
    renewed: Annotated[
        float, Convention("of the second epoch's samples were not in the first: flips at random renew half")
    ] = 0.3,
    change: Annotated[float, Convention("of the inputs' standard deviation: less cannot move a score by much")] = 0.02,
) -> Finding | None:
    table = run.table("val_identities")
    new = 1.0 - run.entry("val_identities", "again")
    if table.get("stream") or table.get("same_targets") is not True or new < renewed:
        return None
    moved = run.entry("val_identities", "change", 1.0)
    minor = run.info.task == "regression" or moved < change
    return Finding(
        message=f"Validation is augmented: {new:.0%} of its inputs are others in the second epoch, although their "
        "targets are the same.",
        numbers=(
            Number(text=f"new inputs {new:.2f}", value=new, threshold=renewed),
            Number(text=f"mean change {moved:.2g} of a deviation", value=moved, threshold=change),
        ),
        confidence=0.5 if minor else 0.85,
        judge="",
        first_step="Give the validation data set its own transform, without anything random.",
        since=0,
        severity="note" if minor else "problem",
    )
