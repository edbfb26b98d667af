"""Gives every hidden layer's output mean 0 and standard deviation 1 over the batch before its activation.

## What it does
Grafts `nn.BatchNorm` right after every hidden Linear and Conv layer, which is before its activation, and adds the new
weights to the param_group that holds the layer's own weight: its learning rate, decay and schedule apply to them too.
The layer that gives the output is left alone, and so are frozen layers and layers that a forward pass calls twice. A
graft is a child module and a hook: no key of the `state_dict` changes, new ones are added. A batch of a single sample,
such as the rest at the end of an epoch, is normalised by the running statistics, since it has no spread of its own.

## When it helps
Training that is slow or unstable in a deep network, activations that die or saturate, inputs whose scale is off.

## When it hurts
With small batches the statistics are noise (below about 8 images, by Wu and He), and for sequences or for samples that
depend on one another they mix what must not be mixed. It regularises a little, and disagrees with dropout in front of
it.

## Cost
One more pass over each hidden layer's output, and two weights and two running statistics a unit.

## References
Ioffe, Szegedy: Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift. ICML 2015,
arXiv 1502.03167.
Wu, He: Group Normalization. ECCV 2018, arXiv 1803.08494 (errors of 23.6, 24.8, 27.3, 34.7 % at 32, 8, 4, 2 images).
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812  as in every tutorial
from torch import Tensor, nn

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._norms import check, graft, normalises, over_units
from advisor.remedies._places import Place

CHANGES = frozenset({"layers", "normalisation"})
LASTS = "model"
GRAFT = "advisor_batch_norm"  # name of the child module
KINDS = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)  # by number of spatial dimensions
FEWEST = 8  # samples in a batch: a convention, below it a variance is off by half its size (sd of s² = σ²·√(2/(n−1)))


class Parameters(_Parameters):
    """It has none: eps and momentum are torch's defaults."""


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:  # noqa: ARG001  one choice for all
    """The one choice; none where the model normalises already or its batches are too small."""
    if normalises(evidence):
        return []
    try:
        if evidence.number("batch_size") < FEWEST:
            return []
    except Missing:
        pass
    return [Parameters()]


def apply(session: Session, parameters: Parameters) -> None:  # noqa: ARG001  it has none
    """Raises: CannotApply where the model normalises already, batches have one sample, or no layer fits."""
    check(session, "batch_norm")
    if _batch_size(session) == 1:
        raise CannotApply("a batch of one sample has no spread", context="batch_norm", hint="raise batch_size first")
    grafted = graft(session, "batch_norm", GRAFT, _norm, normalise)
    note: dict[str, Json] = {"layers": [place.name for place in grafted], "batches": 0}
    session.note("batch_norm", note)
    first: Any = grafted[0].layer.get_submodule(GRAFT)
    session.on_finish(lambda: session.note("batch_norm", note | {"batches": int(first.num_batches_tracked)}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  it has none
    """Whether a training batch went through the first graft."""
    note = record.facts.get("remedy.batch_norm")
    return isinstance(note, dict) and bool(note.get("batches"))


def normalise(layer: nn.Module, _: tuple[Any, ...], output: Tensor) -> Tensor:
    """The hook: passes a layer's output through its own graft. A function of this module, so that models pickle."""
    norm: Any = layer.get_submodule(GRAFT)
    if output.dim() != norm.dims:  # a sample without a batch dimension, or a Linear over sequences
        return output
    if norm.training and output.numel() == output.shape[1]:
        return F.batch_norm(
            output, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps
        )
    normal: Tensor = norm(output)
    return normal


def _norm(place: Place, units: int) -> nn.Module | None:
    if not over_units(place):
        return None
    norm = KINDS[place.spatial](units)
    norm.dims = place.spatial + 2  # type: ignore[assignment]  # a plain number, no module or tensor
    return norm


def _batch_size(session: Session) -> int | None:
    if session.train is not None and session.train.batch_size is not None:
        return session.train.batch_size
    example = session.example()
    return len(example[0]) if example is not None and isinstance(example[0], Tensor) else None
