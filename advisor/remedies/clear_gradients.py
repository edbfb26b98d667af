"""Clears the gradients after every optimizer step, as a loop does that calls `zero_grad()` in every step.

## What it does
Calls `zero_grad()` of an optimizer each time when it has stepped, and once before the first epoch: every backward pass
that follows a step starts from nothing. Backward passes between two steps still add up, so that gradient accumulation
stays what it is. With several optimizers, one that stepped earlier in the same round is cleared again: what the other's
backward pass has left in its parameters, as a generator's does in the discriminator, is not its own.

## When it helps
The loop never clears its gradients, or not in every step: each step then goes along the sum of all gradients so far.

## When it hurts
A loop that reads gradients after the step, or keeps them on purpose. Under `GradScaler` a step that is skipped clears
nothing, as nothing was stepped.

## Cost
None.

## References
PyTorch, Zeroing out gradients in PyTorch. https://docs.pytorch.org/tutorials/recipes/recipes/zeroing_out_gradients.html
PyTorch issue 47175, of those who forgot. https://github.com/pytorch/pytorch/issues/47175
"""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session

CHANGES = frozenset({"gradient_clearing"})


class Parameters(_Parameters):
    """It has none."""


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:  # noqa: ARG001  the finding says it all
    """The one choice, where gradients were found left over."""
    return [Parameters()] if any(finding.rule == "missing_zero_grad" for finding in diagnosis.findings) else []


def apply(session: Session, parameters: Parameters) -> None:  # noqa: ARG001  it has none
    """Raises: CannotApply where there is no optimizer."""
    if not session.optimizers:
        raise CannotApply("no optimizer", context="clear_gradients")
    clearer = Clearer(session.optimizers)
    session.in_loop(clearer)
    session.on_finish(lambda: session.note("clear_gradients", {"steps": clearer.steps}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  it has none
    """Whether there was a step after which gradients were cleared."""
    note = record.facts.get("remedy.clear_gradients")
    return isinstance(note, dict) and bool(note.get("steps"))


class Clearer:
    """While it is entered, torch tells it of every step, after those who hooked the optimizer and read its gradients.

    round: the optimizers that have stepped since one of them last began anew
    """

    def __init__(self, optimizers: list[Optimizer]) -> None:
        self.optimizers = {id(optimizer): optimizer for optimizer in optimizers}
        self.round: set[int] = set()
        self.steps = 0
        for optimizer in optimizers:
            optimizer.zero_grad()

    def __enter__(self) -> None:
        self._handle = register_optimizer_step_post_hook(self.after_step)

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def after_step(self, optimizer: Optimizer, *_: Any) -> None:
        if id(optimizer) not in self.optimizers:
            return
        if id(optimizer) in self.round:
            self.round.clear()
        self.round.add(id(optimizer))
        for key in self.round:
            self.optimizers[key].zero_grad()
        self.steps += 1
