"""Batch normalisation over a handful of numbers: what it subtracts and divides by is mostly noise.

## What it does

Counts the numbers that each mean and variance of batch normalisation is made of in training: samples of a batch times
positions of a map. Fires where they are fewer than five, the layer does normalise by the batch (and not by frozen
statistics, as in fine-tuning), and the training data are not fit within a tenth.

Images have many positions: a batch of two with maps of 8 × 8 averages 128 numbers, and is left alone.

## Why it hurts

Over two samples every unit becomes +1 or -1, whatever the samples were. In eval mode the running averages take over,
and the network meets inputs that it never saw in training.

## Example

    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    train_loader = DataLoader(data, batch_size=2)

## When it is wrong

Where something else keeps the data from being fit, the small batch did perhaps little. Statistics that are gathered
over several devices (SyncBatchNorm) are of more samples than are counted here.

## References

- Wu and He, Group Normalization, ECCV 2018: the error of batch normalisation rises fast below batches of 8.
  https://arxiv.org/abs/1803.08494
- Ioffe, Batch Renormalization, NeurIPS 2017: why small batches make training and inference differ.
  https://arxiv.org/abs/1702.03275
"""

from __future__ import annotations

from typing import Annotated

from advisor import Convention, Evidence, Finding, Measured, Number, rule
from advisor.evidence import Missing
from advisor.progress import skill


@rule(
    kind="optimisation",
    needs=["train_loss"],
    optional=["batch_norm", "batch_norm_trains", "batch_size", "clean_train_score", "chance_score"],
    remedies=["batch_size", "group_norm"],
    explains=[
        "dead_units",
        "exploding_gradients",
        "label_noise",
        "learning_rate_too_high",
        "oscillating_loss",
        "overfitting",
        "slow_convergence",
        "too_few_epochs",
        "underfitting",
        "unstable_loss",
    ],
)
def batch_too_small_for_batchnorm(
    run: Evidence,
    *,
    few: Annotated[float, Convention("numbers in a mean: of four, it is off by half of their spread")] = 4.0,
    error: Annotated[
        float,
        Measured("fixtures/batch_too_small_for_batchnorm/faulty.py: 0.26 of the way to guessing; its fixed twin 0.00"),
    ] = 0.1,
) -> Finding | None:
    if not run.has("batch_norm") or not run.has("batch_norm_trains") or run.fact("batch_norm_trains") is not True:
        return None  # there is none, or it uses what it learned before
    layer, size = run.table("batch_norm"), run.number("batch_size")
    positions = layer.get("positions")
    if not isinstance(positions, int):
        raise Missing("batch_norm")
    count = positions * size
    wrong = 1.0 - skill(run)
    if count > few or not wrong > error:
        return None
    name = str(layer.get("layer"))
    return Finding(
        message=f"Batch normalisation ({name}) averages over only {count:.0f} numbers in training: batches of "
        f"{size:.0f} with {positions} position{'s' if positions > 1 else ''} each.",
        numbers=(
            Number(text=f"{count:.0f} numbers in each mean", value=count, threshold=few),
            Number(text=f"{wrong:.0%} of the way from a perfect fit to guessing", value=wrong, threshold=error),
        ),
        confidence=0.9,
        first_step="Use batches of at least 16 samples, or nn.GroupNorm or nn.LayerNorm, which need no batch.",
        since=0,
        layers=(name,),
    )
