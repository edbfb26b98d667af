"""Leaves an optimizer step out whose gradients are not all numbers, as `GradScaler` does.

## What it does
Right before each step it looks whether every gradient is finite. Where one is not, the gradients are dropped: the
optimizer changes neither weights nor its running averages, and the loop goes on with the next batch.

## When it helps
A rare batch meets a square root at zero, an overflow or a broken sample, and one step writes NaN into every weight.

## When it hurts
It treats the symptom: what makes the gradient infinite is still there, and the samples that do are never learnt. Where
every gradient is broken nothing is learnt at all. Statistics of batch normalisation are spoilt by the forward pass and
not by the step, and stay so.

## Cost
A sum over all gradients in a step, and one flag read from the device, for which the processor waits.

## References
PyTorch, Automatic Mixed Precision, `GradScaler.step`: "If no inf/NaN gradients are found, invokes optimizer.step()
using the unscaled gradients. Otherwise, optimizer.step() is skipped to avoid corrupting the params."
https://docs.pytorch.org/docs/stable/amp.html
"""

from __future__ import annotations

import torch
from torch.optim import Optimizer

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._stepping import before_steps, with_gradients

CHANGES = frozenset({"bad_steps"})
CAUSES = frozenset({"non_finite_gradients", "non_finite_loss"})


class Parameters(_Parameters):
    """It has none."""


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The one choice, where something was not a number."""
    broken = any(finding.rule in CAUSES for finding in diagnosis.findings)
    return [Parameters()] if broken or evidence.has("first_non_finite") else []


def apply(session: Session, parameters: Parameters) -> None:  # noqa: ARG001  it has none
    """Raises: CannotApply where there is no optimizer, or LBFGS."""
    skipper = Skipper()
    before_steps(session, skipper, "skip_bad_steps")
    session.on_finish(lambda: session.note("skip_bad_steps", {"steps": skipper.steps, "skipped": skipper.skipped}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  it has none
    """Whether a step was left out."""
    note = record.facts.get("remedy.skip_bad_steps")
    return isinstance(note, dict) and bool(note.get("skipped"))


class Skipper:
    """Counts the steps, and those that it left out."""

    def __init__(self) -> None:
        self.steps = self.skipped = 0

    def __call__(self, optimizer: Optimizer) -> None:
        parameters = with_gradients(optimizer)
        self.steps += 1
        grads = [grad for p in parameters if p.grad is not None and (grad := _dense(p.grad)).numel()]
        if not grads:
            return
        norms = torch._foreach_norm(grads, float("inf"))  # the largest element
        if not torch.stack([norm.to(norms[0].device) for norm in norms]).isfinite().all():
            self.skipped += 1
            for parameter in parameters:
                parameter.grad = None


def _dense(grad: torch.Tensor) -> torch.Tensor:
    return grad._values() if grad.is_sparse else grad
