"""Keeps square roots and their kin off the value at which their slope is infinite.

## What it does
`sqrt`, `rsqrt`, powers with an exponent below 1 and logarithms are computed of x + eps; a divisor closer to 0 than eps
is moved there; `acos` and `asin` get their input clamped to the open interval. That holds in the model's forward, where
it stays after the loop, in a loss that is a module of your own, and in what the loop itself computes with gradients, as
long as it runs. Norms and distances of torch's own (`norm`, `linalg.vector_norm`, `cdist`, `std`) are left alone: their
gradient at zero is zero.

## When it helps
A gradient is not a number at a step whose loss was: where `(a - b) ** 2` is exactly 0, the slope of the root is
infinite, and infinite times 0 is NaN.

## When it hurts
Nothing is exact near zero any more: sqrt(0) is 1e-4 with the default.

## Cost
A few microseconds a call of torch's functions, since each is looked at as long as the loop runs: of a step of a tiny
network half of its time again, of a convolutional one a few per cent.

## References
PyTorch, issue 2421: the square root "has a gradient of + infinity at 0. The gradient gives you nan because you then
multiply 0 and an infinity". https://github.com/pytorch/pytorch/issues/2421
Karras, Aila, Laine, Lehtinen: Progressive Growing of GANs for Improved Quality, Stability, and Variation. ICLR 2018,
arXiv 1710.10196, 4.2: 1e-8 below the root of a mean square; their code has it below that of a variance as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence
from advisor.loss_changes import own_module
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._calls import Call, Called
from advisor.remedies._forward import InLoop, change_forward, check_reachable

CHANGES = frozenset({"singularities"})
AT_ZERO = frozenset({"sqrt", "rsqrt", "log", "log2", "log10"})
POWERS = frozenset({"pow", "float_power"})
DIVISIONS = frozenset({"div", "reciprocal"})
AT_ONE = frozenset({"acos", "asin"})


class Parameters(_Parameters):
    """eps: how far off; at least the smallest normal number of the type. Below 0.1: with more it is another loss."""

    eps: float = Field(default=1e-8, gt=0.0, lt=0.1)  # Karras et al. 2018


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The default, then 1e-6 for numbers that are large; none where no gradient broke before its loss did."""
    fired = any(finding.rule == "non_finite_gradients" for finding in diagnosis.findings)
    return [Parameters(), Parameters(eps=1e-6)] if fired or _broke(evidence) else []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the model is compiled, or nothing is trained."""
    check_reachable(session, "safe_sqrt")
    change = KeptOff(parameters.eps)
    own = [change_forward(session, change, {})]
    loss_fn = own_module(session.loss_fn)
    if loss_fn is not None:
        own.append(change_forward(session, change, {}, loss_fn))
    loop = InLoop(change.names, change.in_loop, *own)
    session.in_loop(loop)

    def finish() -> None:
        inside = [bool(changed.reached.get("KeptOff")) for changed in own]
        session.note(
            "safe_sqrt",
            {"eps": parameters.eps, "in_model": inside[0], "in_loss_fn": any(inside[1:]), "in_loop": loop.reached},
        )

    session.on_finish(finish)


def took_effect(record: Record, parameters: Parameters) -> bool:
    """Whether such a function was called."""
    note = record.facts.get("remedy.safe_sqrt")
    reached = isinstance(note, dict) and (note.get("in_model") or note.get("in_loss_fn") or note.get("in_loop"))
    return isinstance(note, dict) and note.get("eps") == parameters.eps and bool(reached)


@dataclass(frozen=True)
class KeptOff:
    """The change of the calls."""

    eps: float
    names = AT_ZERO | POWERS | DIVISIONS | AT_ONE

    def chooses(self, calls: tuple[Call, ...]) -> None:
        """All of them."""

    def in_loop(self, called: Called) -> Any:
        """What has a gradient: an optimizer takes roots too."""
        at = called.args[1] if called.name == "div" and len(called.args) > 1 else called.input
        return self.replaced(called) if isinstance(at, Tensor) and at.requires_grad else NotImplemented

    def replaced(self, called: Called) -> Any:
        given, name = called.input, called.name
        if name == "div":
            return self._divided(called)
        if not isinstance(given, Tensor) or not given.is_floating_point():
            return NotImplemented
        if name in POWERS:
            exponent = called.args[1] if len(called.args) > 1 else called.kwargs.get("exponent")
            if not isinstance(exponent, int | float) or exponent >= 1 or exponent == 0:
                return NotImplemented
            name = "reciprocal" if float(exponent).is_integer() else "sqrt"
        if name in AT_ZERO:
            return called.gives(lambda x: called.on(x + self._eps(x)))
        if name in AT_ONE:
            end = 1 - max(self.eps, torch.finfo(given.dtype).eps)
            return called.gives(lambda x: called.on(x.clamp(-end, end)))
        return called.gives(lambda x: called.on(self._off_zero(x)))

    def _divided(self, called: Called) -> Any:
        divisor = called.args[1] if len(called.args) > 1 else called.kwargs.get("other")
        if not isinstance(divisor, Tensor) or not divisor.is_floating_point():
            return NotImplemented
        kept = self._off_zero(divisor)
        if len(called.args) > 1:
            return called.function(called.args[0], kept, *called.args[2:], **called.kwargs)
        return called.function(*called.args, **{**called.kwargs, "other": kept})

    def _off_zero(self, x: Tensor) -> Tensor:
        eps = self._eps(x)
        return torch.where(x.abs() < eps, torch.full_like(x, eps).copysign(x.detach()), x)

    def _eps(self, x: Tensor) -> float:
        return max(self.eps, torch.finfo(x.dtype).tiny)


def _broke(evidence: Evidence) -> bool:
    """Whether a gradient was not a number at a step whose loss was one."""
    if not evidence.has("non_finite"):
        return False
    found = evidence.table("non_finite")
    step, broken = found.get("step"), found.get("gradient_step")
    return isinstance(step, int) and isinstance(broken, int) and broken < step
