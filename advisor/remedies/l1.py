"""Pulls every weight towards zero by the same small amount in each step, so that weights that bring little become zero.

## What it does
Adds `strength` times the sign of each weight to its gradient before every step: the gradient of an L1 penalty on all
weight matrices and kernels, not on biases and the scales of norms. The loss that is shown stays without the penalty,
and gradients that the loop clips are clipped before it.

## When it helps
Overfitting, where few of the inputs or units matter.

## When it hurts
Too much of it is underfitting. Under Adam a weight whose gradients are small is pulled harder than others, since the
penalty is scaled with its gradient. Weights come near zero and do not rest there exactly.

## Cost
One pass over the weights in each step.

## References
Tibshirani: Regression Shrinkage and Selection via the Lasso. Journal of the Royal Statistical Society B 58 (1996)
267-288.
Ng: Feature selection, L1 vs. L2 regularization, and rotational invariance. ICML 2004.
"""

from __future__ import annotations

from pydantic import Field
from torch.optim import Optimizer

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._stepping import before_steps, with_gradients

CHANGES = frozenset({"penalty"})
STRONGER = 10.0  # a decade, since the useful range spans several


class Parameters(_Parameters):
    """strength: of the penalty, in units of the loss for a weight of 1."""

    strength: float = Field(default=1e-4, gt=0.0, allow_inf_nan=False)  # a convention: a thousand weights cost 0.1


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:  # noqa: ARG001  it needs no evidence
    """Two strengths, the gentle one first; none for a model that underfits."""
    if {finding.rule for finding in diagnosis.findings} & {"underfitting", "over_regularised"}:
        return []
    return [Parameters(), Parameters(strength=Parameters().strength * STRONGER)]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where no optimizer holds a weight that can be pulled."""
    if not any(p.dim() > 1 for o in session.optimizers for group in o.param_groups for p in group["params"]):
        raise CannotApply("no optimizer holds a weight", context="l1")
    steps = 0

    def act(optimizer: Optimizer) -> None:
        nonlocal steps
        steps += 1
        weights = [p for p in with_gradients(optimizer) if p.dim() > 1 and p.grad is not None and not p.grad.is_sparse]
        scale = getattr(optimizer, "grad_scale", None)  # of a GradScaler whose factor a fused optimizer takes out
        for weight in weights:
            assert weight.grad is not None  # mypy: chosen above
            pull = weight.sign() if scale is None else weight.sign() * scale
            weight.grad.add_(pull.to(weight.grad.dtype), alpha=parameters.strength)

    before_steps(session, act, "l1")
    session.note("l1", {"strength": parameters.strength, "steps": 0})
    session.on_finish(lambda: session.note("l1", {"strength": parameters.strength, "steps": steps}))


def took_effect(record: Record, parameters: Parameters) -> bool:
    """Whether steps were made with this penalty."""
    note = record.facts.get("remedy.l1")
    return isinstance(note, dict) and note.get("strength") == parameters.strength and bool(note.get("steps"))
