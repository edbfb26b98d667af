"""Makes one step of the optimizer out of several of the loop's, along the mean of their gradients.

## What it does
The loop steps after every batch as before. Of `steps` such calls all but the last only put the gradients aside and
change nothing; the last gets the mean of all. Whether and when the loop clears its gradients makes no difference. The
record counts the steps that were made, as with accumulation written by hand. What is left at the end of an epoch is
carried into the next.

## When it helps
Steps that are mostly noise, where a larger batch does not fit into memory.

## When it hurts
There are fewer steps: at the same rate the run learns less. Batch normalisation still sees the small batches. A
scheduler that is called with every batch moves between the steps as well. A fused optimizer under `GradScaler` steps as
before, since its gradients are still scaled.

## Cost
A copy of the gradients.

## References
Ott, Edunov, Grangier, Auli: Scaling Neural Machine Translation (2018): gradients of several batches for a step.
arXiv 1806.00187.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence, Missing
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._stepping import before_steps, with_gradients

CHANGES = frozenset({"batch_size"})
TOO_FEW_STEPS = frozenset({"batch_too_large", "too_few_epochs", "slow_convergence", "learning_rate_too_low"})


class Parameters(_Parameters):
    """steps: calls of the loop that make one."""

    steps: int = Field(default=4, ge=2)  # of four, a mean has half the noise


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """4, and 2 where that is too few steps; none where an epoch has no more, or where there are too few already."""
    if any(finding.rule in TOO_FEW_STEPS for finding in diagnosis.findings):
        return []
    try:
        in_epoch = evidence.number("steps_per_epoch")
    except Missing:
        return [Parameters()]
    return [Parameters(steps=steps) for steps in (4, 2) if steps <= in_epoch]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where there is no optimizer, or LBFGS."""
    keeper = Keeper(session, parameters.steps)
    before_steps(session, keeper, "accumulate_gradients")
    session.on_leave(session.skipped_steps.clear)
    session.on_finish(lambda: session.note("accumulate_gradients", {"made": keeper.made, "held": keeper.held}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  the facts say how often
    """Whether steps were held back, and made."""
    note = record.facts.get("remedy.accumulate_gradients")
    return isinstance(note, dict) and bool(note.get("made") and note.get("held"))


class Keeper:
    """The sums of gradients of calls that were held back, by optimizer and parameter."""

    def __init__(self, session: Session, steps: int) -> None:
        self.session, self.steps = session, steps
        self.made = self.held = 0
        self._calls: dict[int, int] = {}
        self._sums: dict[int, dict[Tensor, Tensor]] = {}

    def __call__(self, optimizer: Optimizer) -> None:
        if getattr(optimizer, "grad_scale", None) is not None:
            return
        key = id(optimizer)
        sums = self._sums.setdefault(key, {})
        for parameter in with_gradients(optimizer):
            grad = parameter.grad
            assert grad is not None  # mypy: it has one
            sums[parameter] = sums[parameter].add_(grad) if parameter in sums else grad.clone()
            parameter.grad = None
        self._calls[key] = self._calls.get(key, 0) + 1
        if self._calls[key] < self.steps:
            self.session.skipped_steps.add(key)
            self.held += 1
            return
        for parameter, total in sums.items():
            parameter.grad = total.div_(self.steps)
        self._calls[key], self._sums[key] = 0, {}
        self.session.skipped_steps.discard(key)
        self.made += 1
