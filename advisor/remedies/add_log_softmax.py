"""Gives a loss the log-probabilities, or probabilities, that it expects, where it gets raw scores.

## What it does
`nll_loss` and `kl_div` get the log_softmax of what they would have got: the loss that `cross_entropy` computes from the
scores. Where they get plain probabilities they get the logarithm. Before `binary_cross_entropy`, which takes
probabilities, a clamp or a ReLU in the place of the sigmoid gets the sigmoid's result instead of the score, in the
model and in the loop. The change of a loss ends with the loop; the sigmoid in the model stays.

## When it helps
The model ends in a linear layer and the loss expects more: `nll_loss` of raw scores has no lowest value, and a clamp
passes no gradient beyond its ends.

## When it hurts
Where the scores are log-densities that another term keeps in place. A log_softmax of log-probabilities changes nothing.

## Cost
None.

## References
PyTorch, NLLLoss: "The input given through a forward call is expected to contain log-probabilities of each class."
PyTorch, KLDivLoss: "this loss expects the argument input in the log-space".
PyTorch, BCELoss: the input are probabilities, as a sigmoid gives them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.loss_changes import LossArguments
from advisor.loss_inputs import LossInputs, loss_inputs
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._calls import CUTS, Call, Called, Key, calls_of
from advisor.remedies._forward import InLoop, change_forward, check_reachable
from advisor.remedies._loss_calls import log

CHANGES = frozenset({"output"})
Name = Literal["nll_loss", "kl_div", "binary_cross_entropy"]
KINDS = {"nll_loss": nn.NLLLoss, "kl_div": nn.KLDivLoss, "binary_cross_entropy": nn.BCELoss}
IN_PLACE_OF_SIGMOID = CUTS | {"relu"}
ENDS = 0.01  # a clamp to [0.01, 0.99] or closer to [0, 1] keeps a probability off 0 and 1; a convention


class Parameters(_Parameters):
    """loss: which one;  given: what it gets now;  dim: of the classes, for kl_div."""

    loss: Name = "nll_loss"
    given: Literal["scores", "probabilities"] = "scores"
    dim: int = -1


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The loss that the rule spoke of, with what the record says of its input; none without that finding."""
    if all(finding.rule != "logits_into_probability_loss" for finding in diagnosis.findings):
        return []
    try:
        found = [one for one in loss_inputs(evidence) if one.name in KINDS]
    except Missing:
        found = []
    return [_for(one) for one in found[:1]] or [Parameters()]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the loss is another one, or the model is compiled."""
    check_reachable(session, "add_log_softmax")
    torchs = type(session.loss_fn).__module__ == nn.modules.loss.__name__
    if torchs and not isinstance(session.loss_fn, KINDS[parameters.loss]):
        raise CannotApply(f"the loss is {type(session.loss_fn).__name__}", context="add_log_softmax")
    if parameters.loss == "binary_cross_entropy":
        _add_sigmoid(session)
        return
    change = Normalised(parameters)
    session.on_loss(change)
    session.on_finish(lambda: session.note("add_log_softmax", {"at": "loss", "reached": change.reached}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  the facts say it all
    """Whether a loss got what it expects."""
    note = record.facts.get("remedy.add_log_softmax")
    return isinstance(note, dict) and bool(note.get("reached"))


@dataclass
class Normalised:
    """The change of the loss."""

    parameters: Parameters
    reached: bool = False

    def __call__(self, call: LossArguments) -> LossArguments:
        output = call.output
        if call.name != self.parameters.loss or output is None or not output.dim():
            return call
        self.reached = True
        if self.parameters.given == "probabilities":
            return call.replace(input=log(output))
        classes = (1 if output.dim() > 1 else 0) if call.name == "nll_loss" else self.parameters.dim
        return call.replace(input=functional.log_softmax(output, classes))


@dataclass(frozen=True)
class Squashed:
    """The change of the forward pass: a sigmoid right before the first of the operations that cut scores to [0, 1]."""

    names = IN_PLACE_OF_SIGMOID

    def chooses(self, calls: tuple[Call, ...]) -> set[Key]:
        ends = sorted((call for call in calls if call.last is not None), key=lambda call: call.last or 0)
        others = [i for i, call in enumerate(ends) if call.name not in self.names or call.behind]
        cuts = ends[: others[0]] if others else ends
        return {cuts[-1].key} if cuts and not others else set()

    def replaced(self, called: Called) -> Any:
        return called.gives(lambda scores: called.on(torch.sigmoid(scores)))


def _add_sigmoid(session: Session) -> None:
    change, calls = Squashed(), calls_of(session)
    found = change.chooses(calls.get(True, ()))
    changed = change_forward(session, change if found or not calls else None, calls)
    loop = InLoop({"clamp"}, lambda called: change.replaced(called) if _to_unit(called) else NotImplemented, changed)
    session.in_loop(loop)
    note: dict[str, Json] = {"at": "model" if found else "loop"}

    def finish() -> None:
        session.note("add_log_softmax", note | {"reached": bool(changed.reached.get("Squashed")) or loop.reached})

    session.on_finish(finish)


def _to_unit(called: Called) -> bool:
    """Whether a clamp cuts to [0, 1], or nearly so."""
    limits = [*called.args[1:3], None, None]
    low, high = called.kwargs.get("min", limits[0]), called.kwargs.get("max", limits[1])
    numbers = isinstance(low, int | float) and isinstance(high, int | float)
    return numbers and 0 <= low <= ENDS and 1 - ENDS <= high <= 1


def _for(one: LossInputs) -> Parameters:
    given: Literal["scores", "probabilities"] = "scores"
    dim = one.class_dimension
    if one.name == "kl_div":
        rows = [d for d, off in enumerate(one.target_sums_off) if off is not None and off < 0.1]  # they sum to one
        dim = rows[-1] if rows else -1
    if dim is not None and one.output_shape and one.is_distribution(dim):
        given = "probabilities"
    return Parameters.model_validate({"loss": one.name, "given": given, "dim": -1 if dim is None else dim})
