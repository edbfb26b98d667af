"""Lets a regression learn targets of mean 0 and standard deviation 1, and gives its predictions in the user's units.

## What it does
The model's output becomes mean + deviation · output, by a hook that stays after the loop: predictions are in the
targets' units. A training loss that compares numbers directly (squared, absolute, Huber) gets both sides as
(value - mean) / deviation; one in validation is left alone, so that it is in the user's units too. Mean and deviation
are those of the training targets, of each column where a sample has several; `mean` and `std` give others, for a loop
that changes the targets before the loss gets them. They are buffers of the model.

## When it helps
Targets far from the scale of 1, which a network whose outputs begin near 0 does not reach at an ordinary learning rate.

## When it hurts
A loss that is written out in the loop is not reached: its errors would stay as large as they were, and its gradients
grow by the deviation. The training loss that the loop prints is in deviations, and not the one that was printed before.

## Cost
None that shows. Reading the targets before the first epoch.

## References
scikit-learn, TransformedTargetRegressor: targets transformed before the fit and back after it.
https://scikit-learn.org/stable/modules/generated/sklearn.compose.TransformedTargetRegressor.html
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.instruments._leaves import target_of
from advisor.loss_changes import LossArguments, own_module
from advisor.loss_inputs import DISTANCES
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._training_data import Moments, read

CHANGES = frozenset({"targets", "loss_arguments"})
LASTS = "model"
MEAN, SCALE = "advisor_target_mean", "advisor_target_scale"  # buffers of the model
LARGE = 10.0  # a convention, that of the rule unscaled_targets: a decade above the outputs of the beginning


class Parameters(_Parameters):
    """samples: how many are measured, spread over all;  mean, std: both or neither, used in the place of what is."""

    samples: int = Field(default=4096, ge=2)  # a deviation is then known to 1.1 % (1/√2n, of a normal distribution)
    mean: float | None = Field(default=None, allow_inf_nan=False)
    std: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _both(self) -> Parameters:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together")
        return self


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The data set's own numbers, then those that the loss was seen to get; for regressions with large targets."""
    try:
        mean, std = evidence.entry("targets", "mean"), evidence.entry("targets", "std")
        directly = evidence.fact("loss") in DISTANCES
    except Missing:
        return []
    fired = any(finding.rule == "unscaled_targets" for finding in diagnosis.findings)
    if evidence.info.task != "regression" or not directly or not (fired or max(abs(mean), std) > LARGE):
        return []
    return [Parameters(), Parameters(mean=mean, std=std)] if std > 0 else [Parameters()]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the targets are not known or no numbers, or the loss does not compare them directly."""
    model = session.model
    parameter = next(model.parameters(), None)
    if parameter is None or not session.optimizers:
        raise CannotApply("there is nothing to train", context="standardise_targets")
    _check_loss(session.loss_fn)
    if getattr(model, MEAN, None) is None:  # else the loop before this one did it
        mean, scale = _measured(session, parameters)
        dtype = torch.float64 if parameter.dtype == torch.float64 else torch.float32
        model.register_buffer(MEAN, mean.to(parameter.device, dtype))
        model.register_buffer(SCALE, scale.to(parameter.device, dtype))
        model.register_forward_hook(in_units)
    losses = 0

    def change(call: LossArguments) -> LossArguments:
        nonlocal losses
        output, target = call.output, call.target
        if call.name not in DISTANCES or output is None or target is None:
            return call
        if not torch.is_grad_enabled() or session.validating():
            return call
        mean, scale = _buffers(model)
        if mean.dim() and not output.shape[-1:] == target.shape[-1:] == mean.shape:
            return call
        losses += 1
        return call.replace(input=(output - mean) / scale, target=(target - mean) / scale)

    session.on_loss(change)
    session.note("standardise_targets", {"losses": 0})
    session.on_finish(lambda: session.note("standardise_targets", {"losses": losses}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any numbers leave the same fact
    """Whether a training loss got standardised targets."""
    note = record.facts.get("remedy.standardise_targets")
    return isinstance(note, dict) and bool(note.get("losses"))


def in_units(module: nn.Module, _: Any, output: Any) -> Any:
    """The hook, a function of this module, so that models pickle: the first tensor of numbers of an output."""
    mean, scale = _buffers(module)
    if isinstance(output, Tensor):
        fits = output.is_floating_point() and output.shape[-1:] == mean.shape if mean.dim() else True
        return mean + scale * output.to(mean.dtype) if fits else output  # half precision does not reach 100,000
    if type(output) in (tuple, list):
        return type(output)([in_units(module, _, output[0]), *output[1:]])
    return output


def _buffers(module: nn.Module) -> tuple[Tensor, Tensor]:
    mean: Any = module.get_buffer(MEAN)
    scale: Any = module.get_buffer(SCALE)
    return mean, scale


def _measured(session: Session, parameters: Parameters) -> tuple[Tensor, Tensor]:
    """Mean and deviation: () for one target a sample or for maps of them, (K,) for K columns."""
    if parameters.mean is not None and parameters.std is not None:
        return torch.tensor(parameters.mean), torch.tensor(parameters.std)
    moments: list[Moments] = []

    def see(batch: Any) -> None:
        target = target_of(batch)
        if target is None or not target.is_floating_point():
            return
        if not moments:
            moments.append(Moments(1 if target.dim() == 2 and target.shape[1] > 1 else None))
        moments[0].add(target)

    read(session, parameters.samples, see)
    if not moments:
        raise CannotApply(
            "no targets that are numbers could be read",
            context="standardise_targets",
            hint="pass train= to advisor.watch, or give the remedy mean and std",
        )
    mean, scale = moments[0].spread()
    return (mean, scale) if len(mean) > 1 else (mean[0], scale[0])


def _check_loss(loss_fn: Any) -> None:
    """Raises: CannotApply for a loss of torch's that compares no numbers."""
    name = type(loss_fn).__name__ if isinstance(loss_fn, nn.Module) else getattr(loss_fn, "__name__", "")
    known = {"MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", *DISTANCES}
    if loss_fn is not None and own_module(loss_fn) is None and name not in known:
        raise CannotApply(f"{name} does not compare outputs and targets directly", context="standardise_targets")
