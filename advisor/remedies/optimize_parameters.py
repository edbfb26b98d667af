"""Gives the optimizer the parameters that it lacks, and the model the layers that it does not know of.

## What it does
Layers and tensors that parts of the model keep in plain lists, tuples or dicts are registered beside them, `hidden[0]`
as `hidden_0`, so that `train()`, `to()` and the `state_dict` reach them. Then every parameter that requires a gradient
and is in no optimizer joins a param_group in place: that of a parameter that the model has lost (an old head), else the
largest of the optimizer that trains the model. What the optimizer holds and the model no longer has is left there. No
key of the `state_dict` changes, new ones are added.

## When it helps
A head that was replaced after the optimizer was made; layers in a list that is no `nn.ModuleList`.

## When it hurts
Where parameters were left out on purpose, as a way to freeze them: name the `layers` then.

## Cost
The optimizer's state for what is added, and its gradients' share of a step.

## References
PyTorch, torch.nn.ModuleList: modules that it contains are properly registered.
https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleList.html
nni issue 4521: parameters in the optimizer that are outdated. https://github.com/microsoft/nni/issues/4521
"""

from __future__ import annotations

from torch import nn

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._hidden import hidden, register
from advisor.remedies._joining import check_alone, join, movement, optimized

CHANGES = frozenset({"optimized_parameters"})
LASTS = "optimizer"
REASONS = ("unregistered_parameters", "parameters_not_optimized")


class Parameters(_Parameters):
    """layers: by their names, or for unregistered ones by where they are kept, `hidden[0]`; all where not given."""

    layers: tuple[str, ...] | None = None


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """What was found left out and looks untrained, then all of it; none where nothing was found."""
    left = [name for finding in diagnosis.findings if finding.rule in REASONS for name in finding.layers]
    if not any(finding.rule in REASONS for finding in diagnosis.findings):
        return []
    if not left:
        return [Parameters()]
    fresh: set[str] = set()
    for fact in ("fresh_layers", "hidden_fresh"):
        try:
            fresh |= set(evidence.names(fact))
        except Missing:
            continue
    untrained = tuple(name for name in left if name in fresh)
    return [Parameters(layers=names) for names in dict.fromkeys([untrained or tuple(left), tuple(left)])]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where every parameter is optimized already, or in a distributed run."""
    if not session.optimizers:
        raise CannotApply("no optimizer", context="optimize_parameters")
    check_alone("optimize_parameters")
    registered, missing = _register_hidden(session, parameters)
    held = optimized(session)
    for name, module in session.model.named_modules():
        if parameters.layers is None or (name or type(module).__name__) in parameters.layers:
            start = f"{name}." if name else ""
            own = {f"{start}{key}": p for key, p in module.named_parameters(recurse=False)}
            missing |= {key: p for key, p in own.items() if p.requires_grad and id(p) not in held}
    if not missing:
        raise CannotApply("the optimizer has every parameter of the model", context="optimize_parameters")
    join(session, missing)
    note: dict[str, Json] = {"added": list(missing), "registered": list(registered), "moved": 0}
    session.note("optimize_parameters", note)
    moved = movement(list(missing.values()))
    session.on_finish(lambda: session.note("optimize_parameters", note | {"moved": moved()}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  the facts say what was added
    """Whether a parameter that was added has changed."""
    note = record.facts.get("remedy.optimize_parameters")
    return isinstance(note, dict) and bool(note.get("moved"))


def _register_hidden(session: Session, parameters: Parameters) -> tuple[list[str], dict[str, nn.Parameter]]:
    """Register what is hidden, also within what was: where each was kept, and their parameters."""
    where: list[str] = []
    found: dict[str, nn.Parameter] = {}
    held = optimized(session)
    while new := hidden(session.model, held, parameters.layers):
        for one in new:
            found |= {name: p for name, p in register(one).items() if p.requires_grad and id(p) not in held}
            where.append(one.name)
    return where, found
