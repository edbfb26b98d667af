"""Gives every hidden layer's output mean 0 and standard deviation 1 over the units of a sample before its activation.

## What it does
Grafts `nn.LayerNorm` right after every hidden Linear layer, and `nn.GroupNorm` with one group, which is the same over
channels and positions, after every hidden Conv layer. The new weights join the param_group that holds the layer's own.
The layer that gives the output is left alone, and so are frozen layers and layers that a forward pass calls twice. A
graft is a child module and a hook: no key of the `state_dict` changes, new ones are added. No sample depends on another
one, and training and evaluation compute the same.

## When it helps
Training that is slow or unstable in a deep network, activations that die or saturate: where batches are small or
samples are sequences, so that batch normalisation does not fit.

## When it hurts
Where the size of a sample's activations is what tells classes apart: it is taken away. In convolutional networks batch
normalisation usually does better, if batches are large enough.

## Cost
One more pass over each hidden layer's output, and two weights a unit.

## References
Ba, Kiros, Hinton: Layer Normalization. 2016. https://arxiv.org/abs/1607.06450
Wu, He: Group Normalization (one group is layer normalisation). ECCV 2018. https://arxiv.org/abs/1803.08494
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._norms import check, graft, normalises, over_units
from advisor.remedies._places import Place

CHANGES = frozenset({"layers", "normalisation"})
LASTS = "model"
GRAFT = "advisor_layer_norm"  # name of the child module


class Parameters(_Parameters):
    """It has none."""


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:  # noqa: ARG001  one choice for all
    """The one choice; none where the model normalises already."""
    return [] if normalises(evidence) else [Parameters()]


def apply(session: Session, parameters: Parameters) -> None:  # noqa: ARG001  it has none
    """Raises: CannotApply where the model normalises already, or no layer fits."""
    check(session, "layer_norm")
    grafted = graft(session, "layer_norm", GRAFT, _norm, normalise)
    note: dict[str, Json] = {"layers": [place.name for place in grafted], "reached": False}
    session.note("layer_norm", note)
    first: Any = grafted[0].layer.get_submodule(GRAFT)
    session.on_finish(lambda: session.note("layer_norm", note | {"reached": first.reached}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  it has none
    """Whether a training batch went through the first graft."""
    note = record.facts.get("remedy.layer_norm")
    return isinstance(note, dict) and note.get("reached") is True


def normalise(layer: nn.Module, _: tuple[Any, ...], output: Tensor) -> Tensor:
    """The hook: passes a layer's output through its own graft. A function of this module, so that models pickle."""
    norm: Any = layer.get_submodule(GRAFT)
    if norm.dims is not None and output.dim() != norm.dims:  # a sample without a batch dimension
        return output
    if norm.training and not norm.reached:
        norm.reached = True
    normal: Tensor = norm(output)
    return normal


def _norm(place: Place, units: int) -> nn.Module | None:
    if place.spatial and not over_units(place):
        return None
    norm: Any = nn.GroupNorm(1, units) if place.spatial else nn.LayerNorm(units)
    norm.dims, norm.reached = place.spatial + 2 if place.spatial else None, False
    return norm  # type: ignore[no-any-return]  # plain values on it, no modules or tensors
