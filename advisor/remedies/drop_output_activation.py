"""Skips the activation that the model ends in, so that it gives numbers without bounds, as its loss expects.

## What it does
Finds the last activation whose result the model returns: a softmax, sigmoid, ReLU, tanh and the like, as a layer or as
a function, and a clamp around it. The call is skipped in training and in evaluation, and stays so after the loop: the
model returns logits, and `output > 0` or `argmax` mean what the loss implies. Where the loop itself applies a softmax
or a sigmoid between the model and a loss that takes logits, the loss gets log(p), or logit(p), instead: the same number
as on the logits. `at="loss"` does that for an activation of the model's as well, which then stays: whoever reads the
output as probabilities, by `output > 0.5` or `round`, goes on to be right. Operations are read from the autograd graph,
never guessed from the values.

## When it helps
The loss applies its own softmax or sigmoid (`cross_entropy`, `binary_cross_entropy_with_logits`), or the targets lie
where the activation cannot reach.

## When it hurts
Where the loss wants probabilities, or where a bound is meant: a count that cannot be negative, an angle. Code that
reads the model's output as probabilities gets logits, unless it is undone at the loss. There a probability that has
been rounded to 1 has no gradient: float32 does that to logits beyond 16.

## Cost
None.

## References
PyTorch, CrossEntropyLoss: "The input is expected to contain the unnormalized logits for each class".
PyTorch, BCEWithLogitsLoss: "This loss combines a Sigmoid layer and the BCELoss in one single class."
Goodfellow, Bengio, Courville: Deep Learning, 2016, 6.2.2: output units go with the distribution of the targets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.instruments._graph import last_operations
from advisor.loss_changes import LossArguments
from advisor.loss_inputs import DISTANCES, PROBABILITIES, loss_inputs
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._calls import ACTIVATIONS, CUTS, Call, Called, Key, calls_of
from advisor.remedies._forward import change_forward, check_reachable
from advisor.remedies._loss_calls import log, logit
from advisor.source_facts import source_facts

CHANGES = frozenset({"output"})
LASTS = "model"
RULES = frozenset({"probabilities_into_logits_loss", "output_range_mismatch"})
LOGITS = frozenset({"cross_entropy", "binary_cross_entropy_with_logits"})
BOUNDED = PROBABILITIES | {"relu", "tanh", "clamp", "hardtanh", "softplus"}  # no logits
TAKES_PROBABILITIES = (nn.BCELoss, nn.NLLLoss, nn.KLDivLoss)
SCALED = frozenset({"Mul", "Div", "Neg", "Add", "Sub"})  # with a number: what is skipped below leaves no bound


class Parameters(_Parameters):
    """at: "loss" where the model keeps the activation and the loss alone takes it back."""

    at: Literal["loss"] | None = None


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """Where a rule or what reached the loss says that the activation is one too many.

    A sigmoid may also be undone at the loss alone, and first where the script reads probabilities: without it a class
    begins at 0 and no more at 0.5. The largest of several classes stays the largest.
    """
    fired = {finding.rule for finding in diagnosis.findings}
    if not fired & RULES and not _too_many(evidence):
        return []
    if not _sigmoid(evidence):
        return [Parameters()]
    reads = "read_as_probabilities" in source_facts(evidence.info.source or "")
    return [Parameters(at="loss"), Parameters()] if reads else [Parameters(), Parameters(at="loss")]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the loss wants what the activation gives, or the model is compiled."""
    if parameters.at is None:
        check_reachable(session, "drop_output_activation")
    if isinstance(session.loss_fn, TAKES_PROBABILITIES):
        kind = type(session.loss_fn).__name__
        raise CannotApply(f"{kind} takes probabilities or their logarithms", context="drop_output_activation")
    calls = calls_of(session) if parameters.at is None else {}
    chosen = Skipped().chooses(calls.get(True, ()))
    at_loss = Inverted()
    session.on_loss(at_loss)
    if parameters.at == "loss" or (calls and not chosen):
        session.on_finish(lambda: session.note("drop_output_activation", {"where": "loss", "reached": at_loss.reached}))
        return
    changed = change_forward(session, Skipped(), calls)
    note: dict[str, Json] = {"where": "model", "calls": [name for name, _ in sorted(chosen)]}

    def finish() -> None:
        reached = bool(changed.reached.get("Skipped")) or at_loss.reached
        session.note("drop_output_activation", note | {"reached": reached})

    session.on_finish(finish)


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  the fact is the same for both
    """Whether a call was skipped, or a loss got logits of probabilities."""
    note = record.facts.get("remedy.drop_output_activation")
    return isinstance(note, dict) and bool(note.get("reached"))


@dataclass(frozen=True)
class Skipped:
    """The change of the forward pass."""

    names = ACTIVATIONS

    def chooses(self, calls: tuple[Call, ...]) -> set[Key]:
        """The activation at the end, with the clamps around it."""
        found: set[Key] = set()
        for call in sorted((c for c in calls if c.last is not None), key=lambda c: c.last or 0):
            if set(call.behind) - SCALED:
                break
            found.add(call.key)
            if call.name not in CUTS:
                break
        return found

    def replaced(self, called: Called) -> Any:
        return called.input


@dataclass
class Inverted:
    """The change of the loss: probabilities back to logits, where a softmax or a sigmoid made them.

    made: what made the output of a loss, by its name and shape, as the training steps showed; a validation has no graph
    """

    reached: bool = False
    made: dict[tuple[str, tuple[int, ...]], str] = field(default_factory=dict)

    def __call__(self, call: LossArguments) -> LossArguments:
        output = call.output
        if call.name not in LOGITS or output is None or not output.is_floating_point():
            return call
        key = call.name, tuple(output.shape[1:])
        if output.requires_grad:
            self.made[key] = next((o.name for o in last_operations(output.grad_fn) if o.name not in CUTS), "")
        if self.made.get(key) == "sigmoid":
            self.reached = True
            return call.replace(input=logit(output))
        if self.made.get(key) == "softmax" and call.name == "cross_entropy":
            self.reached = True
            return call.replace(input=log(output))
        return call


def _sigmoid(evidence: Evidence) -> bool:
    """Whether a loss that takes logits got the results of a sigmoid."""
    try:
        reached = list(loss_inputs(evidence))
    except Missing:
        return False
    ends = ((one.name, next((name for name in one.last if name not in CUTS), "")) for one in reached)
    return ("binary_cross_entropy_with_logits", "sigmoid") in ends


def _too_many(evidence: Evidence) -> bool:
    try:
        reached = list(loss_inputs(evidence))
    except Missing:
        return False
    for one in reached:
        bounded = bool(one.last) and one.last[0] in BOUNDED
        beyond = one.measures in DISTANCES and (one.target_outside or 0.0) > 0
        if bounded and (one.name in LOGITS or beyond):
            return True
    return False
