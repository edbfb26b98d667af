"""Normalises over groups of a sample's channels: in the place of batch normalisation, or after hidden layers.

## What it does
Where the model has trained `nn.BatchNorm` layers, each of them computes `group_norm` from now on, with the weight and
bias that it has: it is the same object with the same `state_dict`, whose running statistics are no longer used. A model
without normalisation gets `nn.GroupNorm` grafted right after every hidden Linear and Conv layer; the new weights join
the param_group that holds the layer's own, no key of the `state_dict` changes, new ones are added. Groups have at least
16 channels, or are all of them where there are fewer than 32. No sample depends on another one, and training and
evaluation compute the same.

## When it helps
Batches too small for batch normalisation, whose means and variances are noise then.

## When it hurts
In a model that was trained before with batch normalisation: its weights are made for other statistics. With large
batches batch normalisation usually does better.

## Cost
About that of batch normalisation.

## References
Wu, He: Group Normalization. ECCV 2018. https://arxiv.org/abs/1803.08494
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812  as in every tutorial
from pydantic import Field
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
GRAFT = "advisor_group_norm"  # name of the child module
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Parameters(_Parameters):
    """channels: of a group, at least."""

    channels: int = Field(default=16, ge=2)  # a convention, among the sizes that Wu and He 2018 compare


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """In the place of batch normalisation where that is blamed; as a graft where the model does not normalise."""
    blamed = any(finding.rule == "batch_too_small_for_batchnorm" for finding in diagnosis.findings)
    return [Parameters()] if blamed or not normalises(evidence) else []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the model normalises otherwise, or no layer fits."""
    own = {name: part for name, part in session.model.named_modules() if type(part) in BATCH_NORMS and _trains(part)}
    for part in own.values():
        _exchange(part, parameters.channels)
    if own:
        names, first = list(own), next(iter(own.values()))
    else:
        check(session, "group_norm")
        grafted = graft(session, "group_norm", GRAFT, lambda place, units: _norm(place, units, parameters), normalise)
        names, first = [place.name for place in grafted], grafted[0].layer.get_submodule(GRAFT)
    note: dict[str, Json] = {"layers": [*names], "exchanged": bool(own), "reached": False}
    session.note("group_norm", note)
    session.on_finish(lambda: session.note("group_norm", note | {"reached": bool(vars(first)["reached"])}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any size leaves the same fact
    """Whether a training batch went through the first of the layers."""
    note = record.facts.get("remedy.group_norm")
    return isinstance(note, dict) and note.get("reached") is True


class GroupNormForBatchNorm(nn.Module):
    """What a BatchNorm becomes: its weight, bias and eps, its buffers, and groups of channels of one sample."""

    _version = 2  # of the state_dict: BatchNorm's, whose entries it has
    groups: int
    reached: bool
    eps: float
    weight: Tensor | None
    bias: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        if self.training and not self.reached:
            self.reached = True
        return F.group_norm(x, self.groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"groups={self.groups}, eps={self.eps}"


def normalise(layer: nn.Module, _: tuple[Any, ...], output: Tensor) -> Tensor:
    """The hook: passes a layer's output through its own graft. A function of this module, so that models pickle."""
    norm: Any = layer.get_submodule(GRAFT)
    if output.dim() != norm.dims:  # a sample without a batch dimension, or a Linear over sequences
        return output
    if norm.training and not norm.reached:
        norm.reached = True
    normal: Tensor = norm(output)
    return normal


def groups_of(units: int, channels: int) -> int:
    """The most groups of equal size with at least so many channels; one where there are fewer.

    >>> groups_of(64, 16), groups_of(48, 16), groups_of(40, 16), groups_of(8, 16)
    (4, 3, 2, 1)
    """
    return max((g for g in range(1, units // channels + 1) if units % g == 0), default=1)


def _exchange(part: nn.Module, channels: int) -> None:
    """Make a BatchNorm compute group_norm, in place."""
    units: Any = part.num_features
    part.__class__ = GroupNormForBatchNorm
    vars(part).update(groups=groups_of(int(units), channels), reached=False)


def _trains(part: nn.Module) -> bool:
    """Whether a norm is trained, or has nothing to train."""
    return all(p.requires_grad for p in part.parameters(recurse=False))


def _norm(place: Place, units: int, parameters: Parameters) -> nn.Module | None:
    if not over_units(place):
        return None
    norm: Any = nn.GroupNorm(groups_of(units, parameters.channels), units)
    norm.dims, norm.reached = place.spatial + 2, False
    return norm  # type: ignore[no-any-return]  # plain values on it, no modules or tensors
