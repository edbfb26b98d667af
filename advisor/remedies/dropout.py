"""Sets a random share of the hidden units to zero in every training step, so that no unit can rely on one other.

## What it does
Grafts `nn.Dropout(rate)` onto the inputs of every Linear layer but those that read the network's own input: that is
after the activation of the layer before, whatever that activation is and however it is written. With `conv_rate` above
0, Conv layers get dropout of whole channels (`nn.Dropout2d` and its kin): neighbouring pixels are so alike that
dropping single ones removes nothing. A graft is a child module and a hook: no key of the `state_dict` changes, and
`train()` and `eval()` switch it as they switch the rest. A model that has dropout already gets the new rate there; a
rate of 0 takes it away.

## When it helps
Overfitting: the training loss keeps falling while the validation loss rises, in a network that has capacity to spare.

## When it hurts
In a network that underfits, on a short training (dropout slows learning down), and before a batch norm: the variance
that the norm learned in training is not the one it meets in evaluation (Li et al. 2019).

## Cost
Little time in a step, but more steps: by Srivastava et al. training typically takes two to three times as long.

## References
Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout: A Simple Way to Prevent Neural Networks from
Overfitting. JMLR 15 (2014) 1929-1958.
Tompson, Goroshin, Jain, LeCun, Bregler: Efficient Object Localization Using Convolutional Networks (dropout of whole
channels). arXiv 1411.4280.
Li, Chen, Hu, Yang: Understanding the Disharmony Between Dropout and Batch Normalization by Variance Shift. CVPR 2019.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._places import Place, places

CHANGES = frozenset({"layers", "dropout"})
LASTS = "model"
CHANNELS = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.FeatureAlphaDropout)
GRAFT = "advisor_dropout"  # name of the child module


class Parameters(_Parameters):
    """rate: share of units dropped before a Linear layer;  conv_rate: share of channels dropped before a Conv layer."""

    rate: float = Field(default=0.5, ge=0.0, lt=1.0)  # Srivastava et al. 2014: near the best for many tasks
    conv_rate: float = Field(default=0.0, ge=0.0, lt=1.0)


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """0.5, 0.2 where that is too much, and both kinds of layers for a convolutional network."""
    fired = {finding.rule for finding in diagnosis.findings}
    if "over_regularised" in fired:
        if not _has_dropout(evidence):
            return []
        used = evidence.number("dropout_rate") if evidence.has("dropout_rate") else 0.0
        return [*([Parameters(rate=0.2)] if used > 0.2 else []), Parameters(rate=0.0)]  # 0.2: the mild one, as below
    if "underfitting" in fired:
        return []
    mild = Parameters(rate=0.2)  # 0.2 to 0.5 is typical of hidden units (Srivastava et al. 2014, A.4): both ends of it
    if any(layer.kind.startswith("Conv") for layer in evidence.info.layers):
        # conv_rate: the convolutional network of Srivastava et al. retains 0.75 before its later convolutions
        return [Parameters(), mild, Parameters(conv_rate=0.25)]
    return [Parameters(), mild]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where there is no layer that reads hidden units."""
    own = {name: part for name, part in session.model.named_modules() if isinstance(part, _DropoutNd)}
    if own:
        session.note("dropout", _retune(own, parameters))
        return
    if not parameters.rate and not parameters.conv_rate:
        raise CannotApply("the model has no dropout to take away", context="dropout")
    chosen = [place for place in places(session) if not place.first and _share(place, parameters)]
    if not chosen:
        raise CannotApply(
            "no layer reads hidden units",
            context="dropout",
            hint="it has one layer only" if parameters.conv_rate else "for Conv layers set conv_rate above 0",
        )
    for place in chosen:
        _graft(place, _share(place, parameters))
    note: dict[str, Json] = {"layers": [place.name for place in chosen], "seen": chosen[0].seen, "reached": 0}
    session.note("dropout", note)
    grafts = [getattr(place.layer, GRAFT) for place in chosen]
    session.on_finish(lambda: session.note("dropout", note | {"reached": sum(graft.reached for graft in grafts)}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  the facts say it all
    """Whether a training forward went through a graft, or a rate of the model's own dropout is another one now."""
    note = record.facts.get("remedy.dropout")
    return isinstance(note, dict) and bool(note.get("changed") or note.get("reached"))


def drop_inputs(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The hook: passes what a layer reads through its own graft. A function of this module, so that models pickle."""
    if not args:
        return None
    graft: Any = layer.get_submodule(GRAFT)
    if graft.training and not graft.reached:
        graft.reached = True
    return (graft(args[0]), *args[1:])


def _graft(place: Place, share: float) -> None:
    kind = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)[place.spatial]
    graft = kind(share).train(place.layer.training)
    graft.reached = False  # type: ignore[assignment]  # a plain flag, no module or tensor
    place.layer.add_module(GRAFT, graft)
    place.layer.register_forward_pre_hook(drop_inputs)


def _share(place: Place, parameters: Parameters) -> float:
    return parameters.conv_rate if place.spatial else parameters.rate


def _retune(own: dict[str, _DropoutNd], parameters: Parameters) -> dict[str, Json]:
    """New rates for the model's own dropout; channels keep theirs unless conv_rate is given, or it is to be lower."""
    changed: dict[str, Json] = {}
    for name, part in own.items():
        share = parameters.rate
        if isinstance(part, CHANNELS):
            share = parameters.conv_rate or min(part.p, parameters.rate)
        if part.p != share:
            changed[name] = [part.p, share]
            part.p = share
    if not changed:
        raise CannotApply("the model's own dropout already has this rate", context="dropout")
    return {"changed": changed}


def _has_dropout(evidence: Evidence) -> bool:
    try:
        return evidence.fact("dropout") is True
    except Missing:
        return False
