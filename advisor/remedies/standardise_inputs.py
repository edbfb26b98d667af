"""Subtracts each feature's mean from the inputs and divides by its standard deviation, in training and validation.

## What it does
Means and deviations are computed once, on a few thousand training samples: of each column of a table (N, F), of each
channel of images (N, C, H, W), also of bytes, of each variable of series (N, T, F); with `per="all"` one mean and one
deviation for everything. A constant feature is divided by 1. Samples are read through the data set, so that the
loader and the random numbers are those of the run without it; where the loop gives the model something else than the
loader gives the loop, or there is no loader, the first training batch is measured. The numbers are buffers of the
model and a hook on it uses them: they stay after the loop, go where the model goes and are saved with it.

## When it helps
Features far from the scale of 1 or far from each other's, and what follows from it: dead and saturated units, a
learning rate that fits no weight.

## When it hurts
Features that are nearly constant become large where they do differ, such as the rim of images that are given as tables:
there `per="all"` is right. Counts and shares that mean something as they are lose their zero.

## Cost
One pass over the inputs of each batch, and reading the samples before the first epoch.

## References
LeCun, Bottou, Orr, Müller: Efficient BackProp, section 4.3. 1998. https://doi.org/10.1007/3-540-49430-8_2
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence, Missing
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._inputs import change_inputs, changed_input

CHANGES = frozenset({"inputs", "input_scale"})
LASTS = "model"
MEAN, SCALE = "advisor_input_mean", "advisor_input_scale"  # buffers of the model
REACHED = "advisor_input_reached"  # a plain attribute of it: an input was changed
IMAGE = 4  # axes of (N, C, H, W): the numbers of its channels are (C, 1, 1)
NEAR = 2.0  # a convention: within twice and half of the scale of 1, and half a unit from 0, nothing is gained


class Parameters(_Parameters):
    """per: "feature", or "all" for one mean and deviation;  samples: how many are measured, spread over all."""

    per: Literal["feature", "all"] = "feature"
    samples: int = Field(default=4096, ge=2)  # a deviation is then known to 1.1 % (1/√2n, of a normal distribution)


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """Each feature by itself, then all alike; none where the first layer's inputs are standardised or no numbers."""
    if "unscaled_inputs" not in {finding.rule for finding in diagnosis.findings}:
        try:
            if _standard(evidence):
                return []
        except Missing:
            return []
    return [Parameters(), Parameters(per="all")]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the inputs are token numbers."""
    whole = parameters.per == "all"
    note = change_inputs(
        session, "standardise_inputs", (MEAN, SCALE), standardise, samples=parameters.samples, whole=whole
    )
    model = session.model
    read = model.get_buffer(MEAN), model.get_buffer(SCALE)
    session.note("standardise_inputs", note)
    setattr(model, REACHED, False)

    def finish() -> None:
        last: dict[str, Json] = {"reached": bool(getattr(model, REACHED))}
        used = model.get_buffer(MEAN), model.get_buffer(SCALE)
        if note["samples"] and all(map(_as_read, read, used)):
            last |= {"mean": read[0].flatten().tolist(), "scale": read[1].flatten().tolist()}
        session.note("standardise_inputs", note | last)

    session.on_finish(finish)


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any choice leaves the same fact
    """Whether an input of the model was changed."""
    note = record.facts.get("remedy.standardise_inputs")
    return isinstance(note, dict) and note.get("reached") is True


def _as_read(read: Tensor, used: Tensor) -> bool:
    """Whether these are numbers of channels, or one of all, and the model got what the data set gave, if flattened."""
    if read.dim() not in (0, IMAGE - 1) or used.numel() % read.numel():
        return False
    return torch.equal(read.flatten().repeat_interleave(used.numel() // read.numel()), used.flatten())


def standardise(module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The hook, a function of this module, so that models pickle."""
    mean: Any = module.get_buffer(MEAN)
    scale: Any = module.get_buffer(SCALE)

    def change(x: Tensor) -> Tensor:
        normal: Tensor = (x - mean) / scale
        return normal.to(x.dtype) if x.is_floating_point() else normal

    args, kwargs, done = changed_input(args, kwargs, mean, change)
    if done and not getattr(module, REACHED):
        setattr(module, REACHED, True)
    return args, kwargs


def _standard(evidence: Evidence) -> bool:
    mean, std = evidence.entry("first_layer_input", "mean"), evidence.entry("first_layer_input", "std")
    largest = evidence.entry("first_layer_input", "largest")
    smallest = evidence.entry("first_layer_input", "smallest", std)
    return abs(mean) < 1 / NEAR and largest < NEAR and smallest > 1 / NEAR
