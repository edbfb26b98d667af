"""Puts each feature's mean where an input is NaN or infinite, and leaves out samples whose target is.

## What it does
A hook on the model replaces what is not finite in its inputs, in training and in validation, by the mean of the
feature's finite values in the training data, 0 where it has none. The means are measured on a few thousand training
samples, read through the data set; where the loop changes the inputs before the model gets them, on the first batch.
They are a buffer of the model: the hook stays after the loop, and is saved with the model. Training samples whose
target is not finite are taken out of their batch; in validation such targets are taken out of the loss.

## When it helps
Missing values that make the loss NaN: empty fields of a file, sensors that failed, a division by a deviation of 0.

## When it hurts
Where that a value is missing says something itself: it is lost; add a column that says so. A whole feature that is
missing becomes a constant. It hides what a look at the data would repair.

## Cost
One pass over the inputs of each batch, and reading the samples before the first epoch.

## References
scikit-learn, Imputation of missing values (SimpleImputer, strategy="mean").
https://scikit-learn.org/stable/modules/impute.html
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence, Missing
from advisor.instruments._leaves import target_of
from advisor.loss_changes import LossArguments
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._inputs import change_inputs, changed_input

CHANGES = frozenset({"inputs", "missing_values"})
LASTS = "model"
FILL, FILLED = "advisor_fill", "advisor_filled"  # buffers of the model; the second counts, and is not saved


class Parameters(_Parameters):
    """samples: how many are measured, spread over all."""

    samples: int = Field(default=4096, ge=2)  # a mean is then known to 1.6 % of the deviation (1/√n)


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The one choice, where the data were found to hold NaN or infinity."""
    fired = any(finding.rule == "non_finite_inputs" for finding in diagnosis.findings)
    return [Parameters()] if fired or _is_seen(evidence) else []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the inputs are token numbers."""
    model = session.model
    change_inputs(session, "fill_missing", (FILL,), fill, samples=parameters.samples, prepend=True)
    model.register_buffer(FILLED, torch.zeros((), dtype=torch.int64, device=model.get_buffer(FILL).device), False)
    dropped = 0

    def drop(batch: Any) -> Any:
        nonlocal dropped
        finite = _finite_rows(batch)
        if finite is None or finite.all() or not finite.any():
            return batch
        dropped += len(finite) - int(finite.sum())
        return _rows(batch, finite)

    def counts() -> dict[str, Json]:
        return {"filled": int(model.get_buffer(FILLED)), "dropped": dropped}

    session.batch_changes.insert(0, drop)  # before another remedy mixes samples
    session.on_loss(without_missing)
    session.note("fill_missing", {"filled": 0, "dropped": 0})
    session.on_finish(lambda: session.note("fill_missing", counts()))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  the facts say it all
    """Whether a value was filled or a sample left out."""
    note = record.facts.get("remedy.fill_missing")
    return isinstance(note, dict) and bool(note.get("filled") or note.get("dropped"))


def fill(module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The hook, a function of this module, so that models pickle. It counts on the device."""
    mean: Any = module.get_buffer(FILL)
    count = module._buffers.get(FILLED)

    def change(x: Tensor) -> Tensor:
        if not x.is_floating_point():
            return x
        finite = x.isfinite()
        if count is not None:
            count.add_((~finite).sum())
        return x.where(finite, mean.to(x.dtype))

    args, kwargs, _ = changed_input(args, kwargs, mean, change)
    return args, kwargs


def without_missing(call: LossArguments) -> LossArguments:
    """In validation: a loss of numbers against numbers without the targets that are not finite."""
    output, target = call.output, call.target
    if torch.is_grad_enabled() or output is None or target is None or not target.is_floating_point():
        return call
    finite = target.isfinite()
    if output.shape != target.shape or finite.all():
        return call
    return call.replace(input=output[finite], target=target[finite])


def _is_seen(evidence: Evidence) -> bool:
    """Whether the data, or what the model was given, hold such values: a loss may break by itself."""
    try:
        found = evidence.table("non_finite")
    except Missing:
        return False
    data, given = found.get("data"), found.get("given")
    counts = [data.get("inputs"), data.get("targets")] if isinstance(data, dict) else []
    counts += given[:1] if isinstance(given, list) else []
    return any(isinstance(count, int | float) and count > 0 for count in counts)


def _finite_rows(batch: Any) -> Tensor | None:
    """(N,) whether a sample's target is finite; None where there is none on the CPU: a device is not waited for."""
    target = target_of(batch)
    if target is None or not target.is_floating_point() or target.device.type != "cpu":
        return None
    return target.isfinite().reshape(len(target), -1).all(1)


def _rows(tree: Any, kept: Tensor) -> Any:
    """The same structure with these rows of every tensor that has a row a sample."""
    if isinstance(tree, Tensor):
        return tree[kept] if tree.dim() and len(tree) == len(kept) else tree
    if isinstance(tree, dict):
        return {key: _rows(value, kept) for key, value in tree.items()}
    if isinstance(tree, tuple | list):
        rows = [_rows(value, kept) for value in tree]
        return type(tree)(*rows) if hasattr(tree, "_fields") else type(tree)(rows)
    return tree
