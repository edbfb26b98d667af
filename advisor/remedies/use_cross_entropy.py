"""Trains a classifier by the likelihood of its labels, in the place of a distance between them.

## What it does
Exchanges a mean squared error, an L1, smooth L1 or Huber loss between outputs and class labels for torch's
cross_entropy, or the binary one where there is one output a sample; in training and in validation. Labels are one-hot
rows, class indices, or zeros and ones; the first batches show which. Outputs that have been through a softmax already
are taken by nll_loss(log p), p not below the smallest normal number; after a sigmoid by binary_cross_entropy, and rows
of several sigmoids by their logits. With `own` a loss that is a module of the user's own is exchanged as a whole.

## When it helps
wrong_loss_for_task: behind a softmax or a sigmoid the gradient of a squared error vanishes where the model is sure and
wrong; that of the likelihood does not.

## When it hurts
A learning rate that was chosen for squared errors may not suit. Squares can match cross entropy where they are chosen
well (Hui and Belkin). Labels that were mixed or smoothed are taken for the class of the largest share.

## Cost
None.

## References
Golik, Doetsch, Ney: Cross-Entropy vs. Squared Error Training. Interspeech 2013, doi 10.21437/Interspeech.2013-436.
Hui, Belkin: Evaluation of Neural Architectures Trained with Square Loss vs Cross-Entropy in Classification Tasks. ICLR
2021, arXiv 2006.07322.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence, Missing
from advisor.instruments._graph import NAMES, last_operations
from advisor.loss_changes import LossArguments
from advisor.loss_inputs import DISTANCES, PROBABILITIES, SUMS_TO_ONE, LossInputs, loss_inputs
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._loss_calls import calls_changed, change_calls, log, logit, refuse_other

CHANGES = frozenset({"loss_function"})
LOOKS = 8  # batches that are looked at before a loss counts as no classification: one may hold a single class
Squashed = Literal["", "softmax", "sigmoid"]


class Parameters(_Parameters):
    """own: also a loss that is a module of the user's own, which measures a distance without torch's functions."""

    own: bool = False


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:  # noqa: ARG001  the losses show it
    """One, where a loss measures a distance of labels and can be reached."""
    try:
        fitting = [one for one in loss_inputs(evidence) if _measures_labels(one)]
    except Missing:
        return []
    return [Parameters(own=fitting[0].own)] if fitting else []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the loss is known to be no distance."""
    refuse_other(session, "use_cross_entropy", DISTANCES)
    change_calls(session, "use_cross_entropy", Exchange(own=parameters.own), {})


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any exchange leaves the same fact
    """Whether a call was exchanged."""
    return calls_changed(record, "use_cross_entropy")


@dataclass(frozen=True, slots=True)
class Labels:
    """Where the labels are. dim: of the classes, None for two of them; one_hot: a row of them; squashed: the output."""

    dim: int | None
    one_hot: bool
    squashed: Squashed


class Exchange:
    """A call that measures a distance of labels -> the likelihood of the same; any other call as it is.

    What training shows of a kind of call is remembered: without a graph an output does not tell where it comes from.
    """

    def __init__(self, *, own: bool) -> None:
        self._own = own
        self._known: dict[tuple[Any, ...], Labels | None] = {}
        self._looks: dict[tuple[Any, ...], int] = {}

    def __call__(self, call: LossArguments) -> LossArguments:
        output, target = call.output, call.target
        mine = self._own and not hasattr(functional, call.name)
        if output is None or target is None or not (mine or call.name in DISTANCES):
            return call
        labels = self._labels(call.name, output, target)
        if labels is None:
            return call
        return _exchanged(call, output, target, labels, mine=mine)

    def _labels(self, name: str, output: Tensor, target: Tensor) -> Labels | None:
        key = (name, output.shape[1:], target.shape[1:], target.dim(), target.is_floating_point())
        if key in self._known or torch.compiler.is_compiling():
            return self._known.get(key)
        if self._known and not torch.is_grad_enabled() and name not in {known[0] for known in self._known}:
            return None  # a measure that only validation takes, whatever it is
        found = _look(output, target)
        self._looks[key] = self._looks.get(key, 0) + 1
        if torch.is_grad_enabled() and (found is not None or self._looks[key] >= LOOKS):
            self._known[key] = found
        return found


def _look(output: Tensor, target: Tensor) -> Labels | None:
    """What a call's tensors say; it waits for the device, in the first batches only."""
    if not output.is_floating_point() or not output.dim() or not output.numel() or target.is_complex():
        return None
    rest, classes = tuple(output.shape), _class_dimensions(output)
    if not target.is_floating_point() and target.dim() + 1 == output.dim():
        dim = next((d for d in classes if (*rest[:d], *rest[d + 1 :]) == tuple(target.shape)), None)
        return None if dim is None else Labels(dim, False, _squashed(output, dim))
    target = target.detach()
    if not bool(((target == 0) | (target == 1)).all()):
        return None
    if target.shape == output.shape:
        dim = next((d for d in classes if bool((target.sum(d) == 1).all())), None)
        if dim is not None:
            return Labels(dim, True, _squashed(output, dim))
    single = math.prod(rest[1:]) == 1 and target.numel() == output.numel()
    both = single and bool(target.min() != target.max())
    return Labels(None, False, _squashed(output, None)) if both else None


def _class_dimensions(output: Tensor) -> list[int]:
    """Where classes may lie, that of a softmax first."""
    found = last_operations(output.grad_fn)
    softmax = [o.dim for o in found if o.name == "softmax" and o.dim is not None and o.shape == tuple(output.shape)]
    return [d for d in (*softmax, 1, output.dim() - 1) if 0 < d < output.dim() and output.shape[d] > 1]


def _squashed(output: Tensor, dim: int | None) -> Squashed:
    """Which function has made probabilities of the scores, by the graph, else by the values."""
    last = [operation.name for operation in last_operations(output.grad_fn) if operation.name != "clamp"]
    values = output.detach().float()
    inside = bool(((values >= 0) & (values <= 1)).all())
    sums = dim is not None and inside and bool(((values.sum(dim) - 1).abs() < SUMS_TO_ONE).all())
    if sums:
        return "softmax"
    if last[:1] and last[0] in NAMES.values():
        return "sigmoid" if last[0] in PROBABILITIES and last[0] != "softmax" else ""
    return "sigmoid" if inside else ""


def _exchanged(call: LossArguments, output: Tensor, target: Tensor, labels: Labels, *, mine: bool) -> LossArguments:
    """mine: of the user's own; what its score is taken of is the output as it was handed over."""
    given = {"reduction": call.given.get("reduction") or "mean"} if not mine else {}
    if labels.dim is None:
        squashed = labels.squashed == "sigmoid"
        half = torch.is_autocast_enabled(output.device.type)  # torch refuses the other one there
        name = "binary_cross_entropy" + ("" if squashed and not half else "_with_logits")
        scores = logit(output) if squashed and half else output
        like = target.reshape(output.shape).to(scores.dtype)
        return call.exchanged(name, **given, input=scores, target=like)
    scores, name = output, "cross_entropy"
    if labels.squashed == "softmax":
        scores, name = log(output), "nll_loss"
    elif labels.squashed == "sigmoid":
        scores = logit(output)
    classes = target.argmax(labels.dim) if labels.one_hot else target.long()
    return call.exchanged(name, **given, input=scores.movedim(labels.dim, 1), target=classes)


def _measures_labels(one: LossInputs) -> bool:
    """Whether a loss is a distance of labels that a likelihood can be computed of."""
    if not one.name or one.measures not in DISTANCES or one.enlarged:
        return False
    if one.one_hot and one.target_shape == one.output_shape:
        return True
    rows = len(one.output_shape) > 1 and "int" in one.target_dtype and one.output_shape[1] > 1
    if rows and one.target_shape == (one.output_shape[0], *one.output_shape[2:]):
        return one.own and one.last[:1] == ("softmax",)
    single = math.prod(one.target_shape[1:]) == 1 and math.prod(one.output_shape[1:]) == 1
    return single and one.target_integer and one.target == (0.0, 1.0) and one.target_varies
