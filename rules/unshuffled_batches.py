"""Training batches hold samples of one kind, because the data are sorted and not shuffled, and the training suffers.

## What it does

Compares the labels within a batch with what random batches of the same size would hold: the entropy of classes, or
for numbers the variance within a batch. Fires where batches have less than half of it, and it shows: the loss that
the loop sees, of a model that has just adapted to the same kind of samples, is much lower than the loss of all the
training data at the end of an epoch; or it leaps within each epoch, as whenever a new kind of sample begins; or the
training data are not fit.

Where nothing suffers it is said as a note: some samplers group alike samples on purpose.

## Why it hurts

Each run of steps is spent on one kind of sample, and the next unlearns it. Statistics of batch normalisation are those
of one class. The training loss looks better than the model is.

## Example

    x, y = x[y.argsort()], y[y.argsort()]
    train = DataLoader(TensorDataset(x, y), batch_size=32)  # shuffle=False is the default

## When it is wrong

Series that carry a state from batch to batch must not be shuffled; their targets rarely drift as much as this asks
for. Grouped sampling for metric learning is on purpose. Only one label a sample is looked at, and no sequences.

## References

- LeCun et al., Efficient BackProp, 1998, section 4.2: shuffle the training set so that successive examples rarely
  belong to the same class. https://doi.org/10.1007/3-540-49430-8_2
- PyTorch, DataLoader: shuffle, "set to True to have the data reshuffled at every epoch (default: False)".
  https://docs.pytorch.org/docs/stable/data.html
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.progress import end, initial_loss, is_finite, skill

STREAM = "_InfiniteConstantSampler"  # what torch gives a loader of an IterableDataset, which cannot be shuffled


@rule(
    kind="data",
    needs=["batch_mixing", "train_loss"],
    optional=[
        "clean_train_loss",
        "clean_train_score",
        "chance_score",
        "loss_median",
        "loss_peak",
        "step_loss",
        "train_identities",
    ],
    remedies=["shuffle"],
    explains=[
        "batch_too_small_for_batchnorm",
        "dead_units",
        "exploding_gradients",
        "learning_rate_too_high",
        "learning_rate_too_low",
        "momentum_too_high",
        "no_signal",
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
def unshuffled_batches(
    run: Evidence,
    *,
    mixed: Annotated[
        float, Convention("half of what random batches mix; those of fixtures/healthy have 0.95 or more")
    ] = 0.5,
    worse: Annotated[
        float, Convention("times the loop's loss: what was just practised looks half again as good")
    ] = 1.5,
    leap: Annotated[
        float, Convention("of the first loss, in most epochs: a fifth of all there is to learn is unlearnt in between")
    ] = 0.2,
    fit: Annotated[float, Convention("half of the way from guessing to perfect: what fits does not suffer")] = 0.5,
) -> Finding | None:
    mixing = run.number("batch_mixing")
    if mixing > mixed:
        return None
    loop = end(run.curve("train_loss").values)
    whole = run.curve("clean_train_loss").last if run.has("clean_train_loss") else math.nan
    scored = run.has("clean_train_score") and run.has("chance_score")
    reached = skill(run) if scored else math.nan
    forgets = loop > 0 and whole > worse * loop
    leaps = _leaps(run)
    suffers = forgets or leaps > leap or reached < fit
    identities = run.table("train_identities") if run.has("train_identities") else {}
    same = identities.get("same_order") is True
    order = ", in the same order in every epoch" if same else ""
    stream = identities.get("sampler") == STREAM
    numbers = [Number(text=f"batches mix {mixing:.2f} of what random ones do", value=mixing, threshold=mixed)]
    if forgets:
        said = f"the loss of all training data is {whole:.3g} where the loop sees {loop:.3g}"
        numbers.append(Number(text=said, value=whole / loop, threshold=worse))
    elif leaps > leap:
        said = f"the loss leaps within an epoch by {leaps:.0%} of what it was at first"
        numbers.append(Number(text=said, value=leaps, threshold=leap))
    elif suffers:
        said = f"the fit of the training data is only {reached:.0%} of the way from guessing"
        numbers.append(Number(text=f"fit {reached:.2f} (0 is guessing)", value=reached, threshold=fit))
    else:
        said = "the training does not seem to suffer"
    return Finding(
        message=f"The training data are not shuffled: a batch has only {mixing:.0%} of the variety of random ones"
        f"{order}, and {said}.",
        numbers=tuple(numbers),
        confidence=(0.9 if same or forgets else 0.8) if suffers else 0.5,
        first_step="Mix what the stream gives: read its parts in turn, or draw at random from a buffer of it."
        if stream
        else "Give the training loader shuffle=True.",
        since=0,
        severity="problem" if suffers else "note",
    )


def _leaps(run: Evidence) -> float:
    """How far the loss of an epoch rises above its median for some steps, of the first loss; in most later epochs."""
    if not run.has("loss_peak") or not run.has("loss_median"):
        return math.nan
    peaks, medians, start = run.curve("loss_peak"), run.curve("loss_median"), initial_loss(run)
    if len(peaks) != len(medians) or not is_finite(peaks, medians) or not start > 0:
        return math.nan
    late = (peaks.values - medians.values)[len(peaks) // 2 :]
    return float(np.median(late)) / start
