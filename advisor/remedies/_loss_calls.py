"""A remedy's change of loss calls -> the same change in a session, and a fact that says how often it was made."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.loss_changes import LossArguments, LossChange
from advisor.record import Json, Record
from advisor.remedies import Session

CLASSES = frozenset({"cross_entropy", "nll_loss"})
BINARY = frozenset({"binary_cross_entropy", "binary_cross_entropy_with_logits"})
FUNCTIONS = {  # torch's module -> the function that it calls
    "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "CrossEntropyLoss": "cross_entropy",
    "HuberLoss": "huber_loss",
    "L1Loss": "l1_loss",
    "MSELoss": "mse_loss",
    "NLLLoss": "nll_loss",
    "SmoothL1Loss": "smooth_l1_loss",
}


def change_calls(session: Session, remedy: str, change: LossChange, facts: dict[str, Json]) -> None:
    """Pass every call of a loss function through `change`; the fact of the remedy tells how many it changed.

    facts: what else the fact holds, read when the loop is over. A call that is looked at again for the record counts
    again; calls in a compiled region count once.
    """
    eager, compiled = [0], [0]

    def counted(call: LossArguments) -> LossArguments:
        changed = change(call)
        if changed is not call:
            if torch.compiler.is_compiling():
                compiled[0] = 1  # a number that grows would have the region compiled anew in each call
            else:
                eager[0] += 1
        return changed

    session.on_loss(counted)
    session.note(remedy, {**facts, "calls": 0})
    session.on_finish(lambda: session.note(remedy, {**facts, "calls": eager[0] + compiled[0]}))


def calls_changed(record: Record, remedy: str) -> bool:
    """Whether the run had calls that the remedy changed."""
    note = record.facts.get(f"remedy.{remedy}")
    return isinstance(note, dict) and bool(note.get("calls"))


def in_training(session: Session) -> bool:
    """Whether the loss that is about to be computed is one of training."""
    if torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return torch.is_grad_enabled()
    return not session.validating()


def refuse_other(session: Session, remedy: str, names: Collection[str]) -> None:
    """Raises: CannotApply where the loop's loss function is known, is none of these, and nothing exchanges it."""
    name = function_of(session.loss_fn)
    if name is not None and name not in names and not session.loss_changes:
        raise CannotApply(f"the loss is {name}", context=remedy, hint=f"it changes {', '.join(sorted(names))}")


def loss_may_be(evidence: Evidence, names: Collection[str]) -> bool:
    """Whether the run's loss function is one of these, or is not known."""
    try:
        return evidence.fact("loss") in names
    except Missing:
        return True


def log(p: Tensor) -> Tensor:
    """The logarithm of probabilities, 0 kept off minus infinity by the smallest normal number."""
    return p.clamp_min(torch.finfo(p.dtype).tiny).log()


def logit(p: Tensor) -> Tensor:
    """log p - log(1 - p), each end kept off infinity by the smallest number of its own."""
    return log(p) - torch.log1p(-p.clamp_max(1 - torch.finfo(p.dtype).eps / 2))


def function_of(loss_fn: Callable[..., Any] | None) -> str | None:
    """The function of torch's that a loss function is or calls; None where that cannot be told."""
    if isinstance(loss_fn, nn.Module):
        return FUNCTIONS.get(type(loss_fn).__name__) if type(loss_fn).__module__ == nn.modules.loss.__name__ else None
    name = getattr(loss_fn, "__name__", "")
    return name if name and getattr(nn.functional, name, None) is loss_fn else None
