"""Raises the limit at which the loop clips its gradients, or lifts it.

## What it does
Every call of torch's `clip_grad_norm_` and `clip_grad_value_` in the loop gets its limit multiplied by `factor`, or,
without one, a limit that nothing reaches: the call still gives the norm and changes nothing. Outside of the loop's own
code the two functions are as they were.

## When it helps
Clipping cuts nearly every step to a small part of its gradient, and with plain SGD the loss hardly moves.

## When it hurts
Where the clipping keeps a run from exploding, or the learning rate was chosen for gradients that short.

## Cost
None.

## References
Deep Learning Tuning Playbook (Godbole et al., 2023): clipping that binds in more than half of the steps is "in essence
a strange way of reducing the learning rate". https://github.com/google-research/tuning_playbook
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from pydantic import Field
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._exchanging import Exchanged, Instead

CHANGES = frozenset({"clipping"})
LIMITS: tuple[tuple[Callable[..., Any], str], ...] = (  # functions, and which argument limits
    (clip_grad_norm_, "max_norm"),
    (clip_grad_value_, "clip_value"),
)
DIGITS = 3  # of a factor: a plan is read by people


class Parameters(_Parameters):
    """factor: of the loop's own limit; no limit at all where it is not given."""

    factor: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The factor that makes the usual gradient just pass, and no limit; none where the loop does not clip hard."""
    if not any(finding.rule == "excessive_clipping" for finding in diagnosis.findings):
        return []
    try:
        kept = evidence.curve("kept_gradient").values
    except Missing:
        return [Parameters()]
    kept = kept[np.isfinite(kept) & (kept > 0)]
    usual = float(np.median(kept)) if len(kept) else 1.0
    return [Parameters(factor=float(f"{1 / usual:.{DIGITS}g}")), Parameters()] if usual < 1 else [Parameters()]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where there is no optimizer, or torch's functions cannot be reached."""
    if not session.optimizers:
        raise CannotApply("no optimizer", context="loosen_clipping")
    factor = math.inf if parameters.factor is None else parameters.factor
    counts = {limit: 0 for _, limit in LIMITS}
    for function, limit in LIMITS:
        session.in_loop(Exchanged(function, _loosened(function, limit, factor, counts)))
    session.on_finish(lambda: session.note("loosen_clipping", {"calls": sum(counts.values())}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any factor leaves the same facts
    """Whether the loop called one of the two functions."""
    note = record.facts.get("remedy.loosen_clipping")
    return isinstance(note, dict) and bool(note.get("calls"))


def _loosened(function: Callable[..., Any], limit: str, factor: float, counts: dict[str, int]) -> Instead:
    signature = inspect.signature(function)

    def instead(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        counts[limit] += 1
        return original(**{**given, limit: math.inf if factor == math.inf else float(given[limit]) * factor})

    return instead
