"""Lets the optimizer train what is frozen.

## What it does
Sets `requires_grad` of the frozen parameters, and adds those that no optimizer holds to a param_group in place: that of
the optimizer's largest. Nothing else changes; no key of the `state_dict` does.

## When it helps
A large part of the model was frozen at its random initialisation: pretrained weights were meant to be loaded, and were
not.

## When it hurts
What was pretrained and frozen on purpose: at a rate that suits a new head, its features are forgotten.

## Cost
A backward pass through all of the model, and the optimizer's state for it.

## References
movenet issue 9: a backbone that is frozen by default and not pretrained. https://github.com/lee-man/movenet/issues/9
PyTorch, Autograd mechanics, Setting requires_grad.
https://docs.pytorch.org/docs/stable/notes/autograd.html#setting-requires-grad
"""

from __future__ import annotations

from torch import nn
from torch.nn.parameter import is_lazy

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._joining import check_alone, join, movement, optimized

CHANGES = frozenset({"frozen_parameters"})
LASTS = "optimizer"


class Parameters(_Parameters):
    """layers: by their names; all that is frozen where not given."""

    layers: tuple[str, ...] | None = None


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:  # noqa: ARG001  the finding says it all
    """The layers that were found frozen and never trained; freezing alone is no fault."""
    found = next((finding for finding in diagnosis.findings if finding.rule == "frozen_parameters"), None)
    return [] if found is None else [Parameters(layers=found.layers or None)]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where nothing is frozen, or in a distributed run."""
    if not session.optimizers:
        raise CannotApply("no optimizer", context="unfreeze")
    check_alone("unfreeze")
    frozen: dict[str, nn.Parameter] = {}
    for name, module in session.model.named_modules():
        if parameters.layers is None or (name or type(module).__name__) in parameters.layers:
            for key, parameter in module.named_parameters(recurse=False):
                if not parameter.requires_grad and parameter.is_floating_point() and not is_lazy(parameter):
                    frozen[f"{name}.{key}" if name else key] = parameter
    if not frozen:
        raise CannotApply("no parameter is frozen", context="unfreeze")
    held = optimized(session)
    for parameter in frozen.values():
        parameter.requires_grad_(True)
    join(session, {name: p for name, p in frozen.items() if id(p) not in held})
    note: dict[str, Json] = {"unfrozen": list(frozen), "moved": 0}
    session.note("unfreeze", note)
    moved = movement(list(frozen.values()))
    session.on_finish(lambda: session.note("unfreeze", note | {"moved": moved()}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  the facts say what was unfrozen
    """Whether a parameter that was frozen has changed."""
    note = record.facts.get("remedy.unfreeze")
    return isinstance(note, dict) and bool(note.get("moved"))
