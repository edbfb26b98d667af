"""Scales the gradient down to a largest norm before every optimizer step, as `clip_grad_norm_` does.

## What it does
Takes the norm of all gradients of an optimizer together, right before it steps, and multiplies them by max_norm over
that norm where it is longer. Under `GradScaler` it is the gradient without the scale that counts: torch has divided by
it when the step begins, and for fused optimizers, which do that themselves, it is taken into account.

## When it helps
Now and then a gradient is many times as long as usual and throws the weights off: recurrent networks, rare batches.

## When it hurts
Below the usual norm every step is cut, which is a lower learning rate in disguise. A gradient that is not a number
stays one. A loop that clips as well gets the smaller of the two limits.

## Cost
A norm and a product over all gradients in a step.

## References
Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks. ICML 2013.
https://proceedings.mlr.press/v28/pascanu13.html
Deep Learning Tuning Playbook (Godbole et al., 2023): the 90th percentile of the norms to begin with.
https://github.com/google-research/tuning_playbook
"""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence, Missing
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._stepping import before_steps, with_gradients

CHANGES = frozenset({"clipping"})
PERCENTILES = (90, 50)  # the first by the Tuning Playbook; the second where the usual step itself is too long
NON_FINITE = frozenset({"non_finite_loss", "non_finite_gradients"})
GROWTH = 10.0  # an order of magnitude, as in those two rules: ordinary batches differ by less
COMMON = 1.0  # what is written most often, and Hugging Face's `max_grad_norm`
DIGITS = 3  # of a norm: a plan is read by people


class Parameters(_Parameters):
    """max_norm: of the gradients of an optimizer together."""

    max_norm: float = Field(default=COMMON, gt=0.0, allow_inf_nan=False)


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The 90th percentile and the median of the norms of the first half of the run, as far as they are numbers.

    Where gradients explode from the start, these are norms of the explosion: far above the common limit, that one comes
    first. None where the gradients were ordinary until one was no number: that one cannot be scaled.
    """
    if any(finding.rule in NON_FINITE for finding in diagnosis.findings) and _ordinary_before(evidence):
        return []
    try:
        norms = evidence.curve("total_grad_norm")
    except Missing:
        return [Parameters()]
    early = norms.values[: -(-len(norms) // 2)]
    early = early[np.isfinite(early) & (early > 0)]
    if not len(early):
        return [Parameters()]
    limits = [float(f"{np.percentile(early, part):.{DIGITS}g}") for part in PERCENTILES]
    later = norms.values[-(-len(norms) // 2) :]
    later = later[np.isfinite(later) & (later > 0)]
    if limits[-1] > GROWTH * max(COMMON, float(np.median(later)) if len(later) else 0.0):
        limits.insert(0, COMMON)
    return [Parameters(max_norm=limit) for limit in dict.fromkeys(limits)]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where there is no optimizer, or LBFGS."""
    clipper = Clipper(parameters.max_norm)
    before_steps(session, clipper, "clip_gradients")
    session.on_finish(lambda: session.note("clip_gradients", {"steps": clipper.steps, "cut": clipper.cut()}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  the facts say how often
    """Whether a gradient was cut."""
    note = record.facts.get("remedy.clip_gradients")
    return isinstance(note, dict) and bool(note.get("cut"))


class Clipper:
    """Counts on the device how many steps it cut."""

    def __init__(self, max_norm: float) -> None:
        self.max_norm = max_norm
        self.steps = 0
        self._cut: dict[torch.device, Tensor] = {}

    def __call__(self, optimizer: Optimizer) -> None:
        parameters = with_gradients(optimizer)
        if not parameters:
            return
        norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
        scale = getattr(optimizer, "grad_scale", None)  # GradScaler leaves it with a fused optimizer
        if isinstance(scale, Tensor):
            norm = norm / scale.to(norm.device)
        clip_grads_with_norm_(parameters, self.max_norm, norm)
        self.steps += 1
        longer = norm > self.max_norm
        self._cut[norm.device] = self._cut[norm.device] + longer if norm.device in self._cut else longer.int()

    def cut(self) -> int:
        return sum(int(count) for count in self._cut.values())


def _ordinary_before(evidence: Evidence) -> bool:
    """Whether it is known that the last gradients before the first that was no number were of the usual length."""
    try:
        before = evidence.table("non_finite").get("norms")
    except Missing:
        return False
    norms = [norm for norm in before if isinstance(norm, float)] if isinstance(before, list) else []
    return bool(norms) and max(norms) <= GROWTH * float(np.median(norms))
