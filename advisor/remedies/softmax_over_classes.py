"""Lets a softmax run over the classes of a sample, where it runs over the samples of the batch.

## What it does
Finds the softmax or log_softmax that the model ends in, as a layer or as a function, and gives it the dimension of the
classes: the second, or the last of (N, T, C). A softmax over the first dimension inside the model, as of attention
without `dim`, gets the last one, where the first axis are the samples. One that the loop applies to what the model gave
is changed as well, as long as the loop runs; a change of the model stays.

## When it helps
The numbers of a batch sum to one instead of those of a sample: what is predicted for one sample depends on the others.

## When it hurts
Where a sum over the batch is meant, as in a loss that balances samples over prototypes.

## Cost
None.

## References
PyTorch, Softmax: "dim: A dimension along which Softmax will be computed (so every slice along dim will sum to 1)".
PyTorch, nn/functional.py, _get_softmax_dim: without dim the first dimension is taken for 0, 1 and 3 dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.loss_inputs import LossInputs, loss_inputs
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._calls import SOFTMAXES, Call, Called, Key, calls_of, softmax_dim
from advisor.remedies._forward import InLoop, change_forward, check_reachable

CHANGES = frozenset({"output"})
LASTS = "model"


class Parameters(_Parameters):
    """wrong: the dimension that it runs over, not negative;  dim: the new one; None: 1, of (N, T, C) the last.

    where: in the model alone, or also in what the loop makes of the model's output
    """

    wrong: int = Field(default=0, ge=0)
    dim: int | None = None
    where: Literal["anywhere", "model"] = "anywhere"


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The dimensions that the record shows; the first one, where samples are mixed and no more is known."""
    fired = {finding.rule for finding in diagnosis.findings}
    shown = _shown(evidence)
    if shown is not None:
        return [shown]
    if "softmax_over_wrong_dimension" in fired:
        return [Parameters()]
    return [Parameters(where="model")] if "examples_mixed_in_batch" in fired else []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the model is compiled, or has no such softmax and the loop is not to be looked at."""
    check_reachable(session, "softmax_over_classes")
    if parameters.dim == parameters.wrong:
        raise CannotApply(f"it runs over dimension {parameters.dim} already", context="softmax_over_classes")
    change = OverClasses(parameters.wrong, parameters.dim)
    calls = calls_of(session)
    found = change.chooses(calls.get(True, ()))
    if parameters.where == "model" and calls and not found:
        what = f"no softmax of the model runs over dimension {parameters.wrong}"
        raise CannotApply(what, context="softmax_over_classes")
    changed = change_forward(session, change if found or not calls else None, calls)
    loop = InLoop(SOFTMAXES, change.in_loop, changed)
    if parameters.where == "anywhere":
        session.in_loop(loop)
    note: dict[str, Json] = {"calls": [name for name, _ in sorted(found)]}

    def finish() -> None:
        inside = bool(changed.reached.get("OverClasses"))
        session.note("softmax_over_classes", note | {"in_model": inside, "in_loop": loop.reached})

    session.on_finish(finish)


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  the facts say it all
    """Whether a softmax got another dimension."""
    note = record.facts.get("remedy.softmax_over_classes")
    return isinstance(note, dict) and bool(note.get("in_model") or note.get("in_loop"))


@dataclass(frozen=True)
class OverClasses:
    """The change of the forward pass."""

    wrong: int
    dim: int | None
    names = SOFTMAXES

    def chooses(self, calls: tuple[Call, ...]) -> set[Key]:
        over = [call for call in calls if call.dim == self.wrong and len(call.shape) > 1]
        return {call.key for call in over if call.last is not None or (self.wrong == 0 and call.rows)}

    def replaced(self, called: Called) -> Any:
        axes = called.input.dim()
        dim = self.dim if self.dim is not None else -1 if axes == 3 else 1
        if softmax_dim(called) != self.wrong or dim >= axes:
            return NotImplemented
        if len(called.args) > 1:
            return called.function(called.args[0], dim, *called.args[2:], **called.kwargs)
        return called.function(*called.args, **{**called.kwargs, "dim": dim})

    def in_loop(self, called: Called) -> Any:
        """Of what has an axis of samples and one of classes."""
        return self.replaced(called) if called.input.dim() > 1 else NotImplemented


def _shown(evidence: Evidence) -> Parameters | None:
    """From a softmax right before a loss whose classes lie elsewhere."""
    try:
        found = list(loss_inputs(evidence))
    except Missing:
        return None
    return next((parameters for one in found if (parameters := _of(one)) is not None), None)


def _of(one: LossInputs) -> Parameters | None:
    if one.softmax is None or one.class_dimension is None or len(one.softmax[1]) < 2:
        return None
    wrong, shape = one.softmax
    classes = one.output_shape[one.class_dimension]
    if shape == one.output_shape:
        return Parameters(wrong=wrong, dim=one.class_dimension) if wrong != one.class_dimension else None
    at = [d for d in range(1, len(shape)) if shape[d] == classes]  # the loop has moved the axes since
    return Parameters(wrong=wrong, dim=at[-1]) if at and wrong not in at else None
