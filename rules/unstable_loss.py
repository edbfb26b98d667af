"""The training loss leaps up again and again, and comes down each time.

## What it does

Knows the loss of every step: of each epoch the highest mean over five steps in a row, the median, and how much a
step's loss has to do with the next one's. Fires where in at least three epochs after the first quarter of the run the
peak stood far above the medians of its own epoch and of the one before, in units of the first loss, and the losses of
that epoch were correlated: a model that was thrown off stays bad for several steps.

One spike that the run recovers from, as after a warm-up, is none of it. Neither are hard batches, which come in no
order and leave no correlation, nor a leap in an epoch whose learning rate was raised on purpose.

## Why it hurts

Each spike throws away what was learned since the last, and one of them may be the last thing that happens to the run.

## Example

    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.1, alpha=0.9)  # averages ten steps

## When it is wrong

Batches that are very different from each other, such as tasks that take turns, make peaks with nothing unstable.

## References

- Cohen et al., Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability, ICLR 2021.
  https://arxiv.org/abs/2103.00065
- Molybog et al., A Theory on Adam Instability in Large-Scale Machine Learning, 2023: spikes of the loss under Adam.
  https://arxiv.org/abs/2304.09871
- Deep Learning Tuning Playbook (Godbole et al., 2023), "How can optimization failures be debugged and mitigated?".
  https://github.com/google-research/tuning_playbook
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Measured, Number, rule
from advisor.progress import initial_loss, is_finite, rate_rose

SPIKES = 3  # of which the lowest counts: one is an accident, two are a coincidence
FEWEST = 8  # epochs: six after the first quarter


@rule(
    kind="signal",
    needs=["train_loss", "loss_peak", "loss_median", "loss_memory"],
    optional=["step_loss", "epoch_lr"],
    remedies=["learning_rate", "learning_rate_schedule", "clip_gradients"],
    explains=["dead_units", "too_few_epochs", "underfitting"],
)
def unstable_loss(
    run: Evidence,
    *,
    height: Annotated[
        float,
        Measured("fixtures/unstable_loss/faulty.py: 0.4 of the first loss for its third spike; its fixed twin 0.02"),
    ] = 0.2,
    memory: Annotated[float, Convention("correlation with the next step: 0 for batches in random order")] = 0.3,
) -> Finding | None:
    peaks, medians, memories = (run.curve(name) for name in ("loss_peak", "loss_median", "loss_memory"))
    start = initial_loss(run)
    if (
        len(peaks) < FEWEST
        or not len(medians) == len(peaks) == len(memories)
        or not is_finite(peaks, medians)
        or not start > 0
    ):
        return None
    level = np.maximum(medians.values[1:], medians.values[:-1])
    leaps = np.where(rate_rose(run, len(peaks)), 0.0, (peaks.values[1:] - level) / start)
    leaps[: len(peaks) // 4] = 0.0
    leaps[~(memories.values[1:] > memory)] = 0.0
    third = float(np.sort(leaps)[-SPIKES])
    if not third > height:
        return None
    count = int((leaps > height).sum())
    worst = int(leaps.argmax())
    return Finding(
        message=f"The training loss is unstable: in {count} epochs it leapt up and came down again, in epoch "
        f"{peaks.at[worst + 1]} from {level[worst]:.3g} to {peaks.values[worst + 1]:.3g}.",
        numbers=(Number(text=f"third highest leap {third:.2g} of the first loss", value=third, threshold=height),),
        confidence=0.75,
        first_step="Divide the learning rate by three; if spikes remain, clip the gradients.",
        since=int(peaks.at[int(np.flatnonzero(leaps > height)[0]) + 1]),
    )
