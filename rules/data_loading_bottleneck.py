"""The training waits for its data most of the time.

## What it does

Adds up the time between asking the loader for a batch and getting it, beyond the first epoch. Fires where it is more
than three fifths of the epochs' time, three seconds or more in all, and more than a fifth of a millisecond a sample,
which is what reading, decoding or transforming takes and stacking tensors does not.

## Why it hurts

The model could be trained in less than half of the time, on the same machine.

## Example

    train = DataLoader(ImageFolder(folder, transform), batch_size=64)  # num_workers=0: decoded while the model waits

## When it is wrong

On one core, workers do not help; then cheaper reading does: decode once, store what is decoded. Samples that arrive
from a simulation or a network may be slow by nature.

## References

- PyTorch, Performance Tuning Guide: with num_workers=0 loading is synchronous and the training process waits; more
  workers load while the model computes. https://docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html
"""

from __future__ import annotations

from typing import Annotated

from advisor import Convention, Evidence, Finding, Measured, Number, rule


@rule(kind="speed", needs=["data_wait"])
def data_loading_bottleneck(
    run: Evidence,
    *,
    share: Annotated[float, Convention("three fifths of the time: without it the run takes less than half")] = 0.6,
    seconds: Annotated[float, Convention("s in all: nobody minds less")] = 3.0,
    each: Annotated[
        float, Measured("s a sample; tensors in memory take 2e-5 in fixtures/healthy/noisy_labels.py")
    ] = 2e-4,
) -> Finding | None:
    waited, part = run.entry("data_wait", "seconds"), run.entry("data_wait", "share")
    slow = run.entry("data_wait", "per_sample")
    if part < share or waited < seconds or slow < each:
        return None
    workers = run.entry("data_wait", "workers", 0.0)
    return Finding(
        message=f"The training waits for data during {part:.0%} of its time: {waited:.0f} s in "
        f"{run.entry('data_wait', 'epochs'):.0f} epochs, {slow * 1000:.2g} ms a sample, with {workers:.0f} workers.",
        numbers=(
            Number(text=f"waiting {part:.0%} of the time", value=part, threshold=share),
            Number(text=f"{waited:.1f} s", value=waited, threshold=seconds),
        ),
        confidence=0.75,
        first_step="Give the loader num_workers=4 and persistent_workers=True."
        if workers == 0
        else "Raise num_workers, or store the samples as they are after decoding.",
        since=1,
    )
