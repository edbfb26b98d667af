"""Hides a stretch of time and a band of features of every training sequence, so that no single spot is relied on.

## What it does
In every sample of a training batch, and never in validation, a stretch of at most `time` of the length and a band of at
most `features` of the features is set to the mean: each feature's own over time in a sequence, that of the whole sample
in a spectrogram. Widths and places are drawn for each sample. Sequences are (N, T, F), or (N, F, T) where the model
begins with a Conv1d; spectrograms are (N, 1, F, T). Draws come from a generator of its own, seeded by the run's seed.

## When it helps
Overfitting on spectrograms, sensor series and other sequences in which the label does not hang on one moment.

## When it hurts
Where one moment is the label (a spike, an onset), and where each step has a label of its own.

## Cost
One masked copy of each batch, and usually more epochs: Park et al. find that it turns overfitting into underfitting.

## References
Park, Chan, Zhang, Chiu, Zoph, Cubuk, Le: SpecAugment: A Simple Data Augmentation Method for Automatic Speech
Recognition. Interspeech 2019, arXiv 1904.08779. Masked values are the mean there too: its inputs have mean 0.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import Field
from torch import Tensor, nn

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._batches import (
    are_changed_enough,
    batch_seen,
    change_batches,
    example_of,
    find_input,
    were_changed,
    with_input,
)
from advisor.remedies._random import own_generator

CHANGES = frozenset({"inputs", "masks"})


class Parameters(_Parameters):
    """Largest share of the length, and of the features, that one mask hides."""

    time: float = Field(default=0.2, ge=0.0, lt=1.0)  # Park et al. 2019: the bound p of both their Switchboard policies
    features: float = Field(default=0.2, ge=0.0, lt=1.0)  # theirs: 15 and 27 of 80 mel channels


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """Both masks, and time alone; for sequences and what may be a spectrogram: one channel, and not square."""
    if are_changed_enough(diagnosis):
        return []
    seen = batch_seen(evidence)
    if seen is None or not seen.floating:
        return []
    spectrograms = len(seen.shape) == 4 and seen.shape[1] == 1 and seen.shape[2] != seen.shape[3]
    if spectrograms or len(seen.shape) == 3:
        return [Parameters(), Parameters(features=0.0)]
    return []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the inputs are no sequences, or every step has a target of its own."""
    example = example_of(session, "masking")
    inputs, targets = find_input(example[0]), example[1]
    if inputs is None or inputs.dim() not in (3, 4) or (inputs.dim() == 4 and inputs.shape[1] != 1):
        raise CannotApply("expected inputs (N, T, F), (N, F, T) or (N, 1, F, T)", context="masking")
    time, features = _axes(session.model, inputs)
    if targets is not None and targets.dim() > 1 and targets.shape[1] == inputs.shape[time] > 1:
        raise CannotApply("every step has a target of its own", context="masking")
    masks = {
        axis: share
        for axis, share in ((time, parameters.time), (features, parameters.features))
        if int(share * inputs.shape[axis])
    }
    if not masks:
        raise CannotApply("the sequences are too short for a mask of these shares", context="masking")
    generator = own_generator("masking")
    mean_over = (time,) if inputs.dim() == 3 else (1, 2, 3)

    def change(samples: Tensor) -> Tensor:
        return hide(samples, masks, generator, mean_over=mean_over)

    changed = partial(with_input, like=inputs, change=change, lengths=frozenset({time}))
    change_batches(session, "masking", changed, axes=list(masks))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any share leaves the same fact
    """Whether a training batch was changed."""
    return were_changed(record, "masking")


def hide(samples: Tensor, masks: dict[int, float], generator: torch.Generator, *, mean_over: tuple[int, ...]) -> Tensor:
    """A copy in which one run along each axis is the mean over some axes. masks: axis -> largest share of it."""
    count = len(samples)
    hidden = torch.zeros_like(samples, dtype=torch.bool)
    for axis, share in masks.items():
        length = samples.shape[axis]
        width = torch.randint(0, int(share * length) + 1, (count, 1), generator=generator)
        start = (torch.rand(count, 1, generator=generator) * (length - width + 1)).long()
        at = torch.arange(length)
        run = (at >= start) & (at < start + width)
        shape = [count, *(length if i == axis else 1 for i in range(1, samples.dim()))]
        hidden |= run.reshape(shape).to(samples.device)
    return torch.where(hidden, samples.mean(mean_over, keepdim=True), samples)


def _axes(model: nn.Module, inputs: Tensor) -> tuple[int, int]:
    """(time, features): a spectrogram has time across; a Conv1d reads its features from the first axis."""
    if inputs.dim() == 4:
        return 3, 2
    first = next((part for part in model.modules() if isinstance(part, nn.Conv1d | nn.Linear | nn.RNNBase)), None)
    if isinstance(first, nn.Conv1d) and first.in_channels == inputs.shape[1]:
        return 2, 1
    return 1, 2
