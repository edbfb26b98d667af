"""Swaps the activation of every hidden layer for another one.

## What it does
Finds the calls of hidden activations in a forward pass, as layers or as functions, and computes another function in
their place, in training and in evaluation; it stays after the loop. Left alone are the activation that the model ends
in, softmax, gates (a sigmoid or tanh that multiplies what another branch gives), and what recurrent and attention
layers of torch do inside. Weights stay as they are.

## When it helps
leaky_relu, gelu, silu: units that are zero for every sample and get no gradient. relu and its kin in the place of
sigmoid or tanh: gradients that vanish in a deep network, units at the ends of their range.

## When it hurts
Where a bound of the activation is meant, and in a network whose initialisation was made for the old one.

## Cost
A few microseconds a call of torch's functions in the forward pass, since each is looked at; gelu costs more than relu.

## References
Glorot, Bordes, Bengio: Deep Sparse Rectifier Neural Networks. AISTATS 2011.
Maas, Hannun, Ng: Rectifier Nonlinearities Improve Neural Network Acoustic Models (leaky, 0.01). ICML workshop 2013.
Hendrycks, Gimpel: Gaussian Error Linear Units. arXiv 1606.08415.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._calls import ACTIVATIONS, CUTS, SOFTMAXES, Call, Called, Key, calls_of
from advisor.remedies._forward import change_forward, check_reachable

CHANGES = frozenset({"activation"})
LASTS = "model"
Kind = Literal["relu", "leaky_relu", "gelu", "silu", "elu", "tanh"]
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "leaky_relu": functional.leaky_relu,  # its slope of 0.01 is that of Maas et al.
    "gelu": functional.gelu,
    "silu": functional.silu,
    "elu": functional.elu,
    "tanh": torch.tanh,
}
HIDDEN = (ACTIVATIONS - SOFTMAXES - CUTS) | {"hardtanh"}
FOR_DEAD: tuple[Kind, ...] = ("leaky_relu", "gelu", "silu")
FOR_FLAT: tuple[Kind, ...] = ("relu", "leaky_relu", "gelu")


class Parameters(_Parameters):
    """kind: what every hidden activation becomes."""

    kind: Kind = "leaky_relu"


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """Those that pass a gradient where the old ones do not; none for a model of one layer."""
    fired = {finding.rule for finding in diagnosis.findings}
    if "dead_units" not in fired and fired & {"saturated_units", "vanishing_gradients"}:
        return [Parameters(kind=kind) for kind in FOR_FLAT]
    if "dead_units" in fired or len(evidence.info.layers) > 1:
        return [Parameters(kind=kind) for kind in FOR_DEAD]
    return []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where no hidden activation is found, or all are of this kind, or the model is compiled."""
    check_reachable(session, "activation")
    change, calls = Swapped(parameters.kind), calls_of(session)
    found = change.chooses(calls.get(True, ()))
    if calls and not found:
        hidden = [call.name for call in calls.get(True, ()) if call.name in HIDDEN and call.last is None]
        what = f"hidden activations are {parameters.kind} already" if hidden else "no hidden activation is called"
        raise CannotApply(what, context="activation")
    changed = change_forward(session, change, calls)
    note: dict[str, Json] = {"kind": parameters.kind, "instead_of": [*sorted({name for name, _ in found})]}

    def finish() -> None:
        session.note("activation", note | {"reached": bool(changed.reached.get("Swapped"))})

    session.on_finish(finish)


def took_effect(record: Record, parameters: Parameters) -> bool:
    """Whether an activation was swapped in a forward pass."""
    note = record.facts.get("remedy.activation")
    return isinstance(note, dict) and note.get("kind") == parameters.kind and bool(note.get("reached"))


@dataclass(frozen=True)
class Swapped:
    """The change of the forward pass."""

    kind: Kind
    names = HIDDEN

    def chooses(self, calls: tuple[Call, ...]) -> set[Key]:
        hidden = [call for call in calls if call.last is None and not call.gate and call.name in self.names]
        return {call.key for call in hidden if call.name != self.kind}

    def replaced(self, called: Called) -> Any:
        return called.gives(FUNCTIONS[self.kind])
