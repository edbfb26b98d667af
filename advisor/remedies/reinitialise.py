"""Draws the weights of trained layers anew, as PyTorch's own layers or a published scheme would have drawn them.

## What it does
With `scheme="default"` every Linear, Conv, Embedding, recurrent and attention layer that an optimizer trains is reset
by its own `reset_parameters`, that of torch's class where a subclass has another. "kaiming" draws the weights of Linear
and Conv layers from a normal distribution with variance 2 / inputs, "xavier" with variance 2 / (inputs + outputs), and
sets their biases to 0; other layers are reset as by default. Normalisation, frozen layers and parameters of the user's
own keep their values. The draws follow from the run's seed, and none of them is the user's.

## When it helps
Weights that began all alike, zero, far too large or far too small; a deep network of ReLUs under PyTorch's default,
which makes the signal smaller with every layer.

## When it hurts
Weights that were trained before are lost: never where a model is fine-tuned. Schemes that are chosen for an
architecture, such as the small last layers of residual branches, are lost too. Copies that the script made of the model
beforehand, for a running average, keep the old weights.

## Cost
None.

## References
Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks. AISTATS 2010.
https://proceedings.mlr.press/v9/glorot10a.html
He, Zhang, Ren, Sun: Delving Deep into Rectifiers. 2015. https://arxiv.org/abs/1502.01852
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.progress import guessing_loss, initial_loss
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._joining import check_alone
from advisor.remedies._places import LAYERS
from advisor.remedies._random import drawing_from, own_generator, seed_of

CHANGES = frozenset({"weights"})
LASTS = "model"
DRAWN = (*LAYERS, nn.Bilinear, nn.Embedding, nn.EmbeddingBag, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)
DEFAULT = 3**-0.5  # rms(w) · √inputs of PyTorch's Linear and Conv layers: uniform within ±1/√inputs
STARTED = 2.0  # times the loss of guessing, as in `bad_initialization`: no network that was trained before begins there
NEAR = 0.1  # a convention: the mean square of 500 such weights, a small layer's, is off by 4 % (√(4/5) / √500)


class Parameters(_Parameters):
    """scheme: "default" for each layer's own `reset_parameters`, "kaiming" or "xavier" for Linear and Conv layers."""

    scheme: Literal["default", "kaiming", "xavier"] = "default"


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """All schemes where the start is at fault; else the published ones, where the weights are fresh from PyTorch.

    Where gradients explode, weights that somebody drew on purpose are at fault as well if the first loss was too.
    """
    schemes = [Parameters(), Parameters(scheme="kaiming"), Parameters(scheme="xavier")]
    fired = {finding.rule for finding in diagnosis.findings}
    if "bad_initialization" in fired:
        return schemes
    if _fresh(evidence):
        return schemes[1:]
    return schemes[:1] if "exploding_gradients" in fired and _begins_wrong(evidence) else []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where no such layer is trained, or in a distributed run."""
    check_alone("reinitialise", "each rank would draw weights of its own")
    trained = {
        id(p) for o in session.optimizers for group in o.param_groups for p in group["params"] if p.requires_grad
    }
    drawn: list[str] = []
    done: set[int] = set()
    devices = sorted({p.device.index for p in session.model.parameters() if p.is_cuda})
    with torch.no_grad(), torch.random.fork_rng(devices), drawing_from(own_generator("reinitialise")):
        if devices:
            torch.cuda.manual_seed_all(seed_of("reinitialise"))
        for name, layer in session.model.named_modules():
            own = [p for p in layer.parameters(recurse=False) if p.dim() > 1 and not is_lazy(p)]
            if not isinstance(layer, DRAWN) or not own or not all(id(p) in trained for p in own):
                continue
            if any(id(p) in done for p in own):  # a weight that two layers share is drawn once
                continue
            done.update(id(p) for p in own)
            _draw(layer, parameters.scheme)
            drawn.append(name or type(layer).__name__)
    if not drawn:
        raise CannotApply("no Linear, Conv, Embedding or recurrent layer is trained", context="reinitialise")
    session.note("reinitialise", {"layers": list(drawn), "scheme": parameters.scheme})


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any scheme leaves the same fact
    """Whether a layer was drawn anew: it is before the first step."""
    note = record.facts.get("remedy.reinitialise")
    return isinstance(note, dict) and bool(note.get("layers"))


def _draw(layer: nn.Module, scheme: str) -> None:
    weight = layer._parameters.get("weight")
    if scheme == "default" or weight is None or not isinstance(layer, LAYERS):
        reset: Any = _torchs_own(layer)
        reset(layer)
        return
    if scheme == "kaiming":
        nn.init.kaiming_normal_(weight, nonlinearity="relu")
    else:
        nn.init.xavier_normal_(weight)
    if isinstance(layer.bias, Tensor):
        nn.init.zeros_(layer.bias)


def _torchs_own(layer: nn.Module) -> Any:
    """`reset_parameters` of the first of a layer's classes that is torch's."""
    for kind in type(layer).__mro__:
        if kind.__module__.startswith("torch."):
            found = getattr(kind, "reset_parameters", None) or getattr(kind, "_reset_parameters", None)
            if found is not None:
                return found
    raise CannotApply(f"{type(layer).__name__} cannot be reset", context="reinitialise")


def _begins_wrong(evidence: Evidence) -> bool:
    """Whether the first loss was far above that of guessing: equal shares of the classes, or zero for a number."""
    try:
        first = initial_loss(evidence)
        if evidence.info.task != "regression":
            return first > STARTED * guessing_loss(evidence)
        square = evidence.entry("targets", "mean") ** 2 + evidence.entry("targets", "std") ** 2
        return first > STARTED * (square if evidence.fact("loss") == "mse_loss" else math.sqrt(square))
    except Missing:
        return False


def _fresh(evidence: Evidence) -> bool:
    """Whether all weights began at the scale of PyTorch's default: not trained before, not drawn on purpose."""
    try:
        scales = evidence.layers("initial_scale").values[0]
    except Missing:
        return False
    known = scales[np.isfinite(scales)]
    return len(known) > 0 and bool((np.abs(known / DEFAULT - 1) < NEAR).all())
