"""Evaluates and keeps the average of the weights that training went through, and trains on as it would have.

## What it does
Keeps a running average of the trained parameters beside the model: `ema`, in which a step weighs 1 - decay and fades,
or `swa`, the plain mean over the steps of the last quarter of the run. For every evaluation (eval mode, without
gradients, or what else is known to be validation) the average is in the model; before the next training pass or step
the raw weights are back, bit for bit, so that the training is the one that it would have been. When the loop is over
the average stays in the model. Buffers, such as the running statistics of a batch norm, are those of the raw model.

## When it helps
A validation score that jumps from epoch to epoch because the learning rate is high at the end; often a little gain
where a network overfits.

## When it hurts
Hardly: an average over weights from before the loss came down is worse than the last ones, so in a short run `decay`
must be small. `swa` is refused for models with batch norm, whose statistics would have to be measured anew for every
validation.

## Cost
Two copies of the parameters, and one pass over them a step.

## References
Polyak, Juditsky: Acceleration of Stochastic Approximation by Averaging. SIAM J. Control and Optimization 30 (1992).
Izmailov, Podoprikhin, Garipov, Vetrov, Wilson: Averaging Weights Leads to Wider Optima and Better Generalization.
UAI 2018, arXiv 1803.05407 (about the last 25 % of their budget, at a constant or cyclical rate; here at the loop's).
TensorFlow, tf.train.ExponentialMovingAverage: decay 0.999, at first min(decay, (1 + steps) / (10 + steps)).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.hooks import Hook
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session

CHANGES = frozenset({"averaging"})
LAST = 0.75  # of the run is over when `swa` begins: about that in Izmailov et al. 2018


class Parameters(_Parameters):
    """decay: of `ema`, how much of the average a step leaves as it was."""

    kind: Literal["ema", "swa"] = "ema"
    decay: float = Field(default=0.999, gt=0.0, lt=1.0)  # TensorFlow's documentation


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """`ema`, and `swa` where the length is known and no norm forbids it; none where nothing is validated."""
    if not (evidence.has("val_score") or evidence.has("val_loss")):
        return []
    if {finding.rule for finding in diagnosis.findings} & {"underfitting", "too_few_epochs", "learning_rate_too_low"}:
        return []
    try:
        normalises = evidence.fact("normalisation") is not False
    except Missing:
        normalises = True
    choices = [Parameters(), Parameters(decay=0.99)]  # a decade faster, for runs of some hundred steps
    return choices if normalises or evidence.info.epochs is None else [*choices, Parameters(kind="swa")]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where nothing is trained, or `swa` cannot know its last quarter or its norms' statistics."""
    weights = [p for p in session.model.parameters() if p.requires_grad]
    if not weights or not session.optimizers:
        raise CannotApply("nothing is trained", context="average_weights")
    if parameters.kind == "swa":
        if session.epochs is None:
            raise CannotApply("an endless loop has no last quarter", context="average_weights", hint='use kind="ema"')
        if any(isinstance(part, _BatchNorm) for part in session.model.modules()):
            raise CannotApply(
                "the statistics of a batch norm are not those of averaged weights",
                context="average_weights",
                hint='use kind="ema"',
            )
    averager = Averager(session, parameters, weights)
    handles = [session.model.register_forward_pre_hook(Hook(averager.before_forward))]
    # a script that steps after a validation without another forward pass must step from the raw weights
    handles += [o.register_step_pre_hook(averager.before_step) for o in session.optimizers]
    for handle in handles:
        session.on_leave(handle.remove)  # where the loop never begins
    session.on_train_batch(averager.before_batch)
    session.on_step(averager.on_step)
    session.on_epoch(averager.on_epoch)
    session.note("average_weights", {"kind": parameters.kind, "steps": 0, "shown": 0})

    def finish() -> None:
        for handle in handles:
            handle.remove()
        averager.finish()

    session.on_finish(finish)


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any kind leaves the same facts
    """Whether an evaluation of the loop got the average."""
    note = record.facts.get("remedy.average_weights")
    return isinstance(note, dict) and bool(note.get("steps")) and bool(note.get("shown"))


class Averager:
    """The average, and the raw weights while it is shown."""

    def __init__(self, session: Session, parameters: Parameters, weights: list[torch.nn.Parameter]) -> None:
        self._session, self._kind, self._decay, self._weights = session, parameters.kind, parameters.decay, weights
        self._average = [_exact(w) for w in weights]
        self._raw = [w.detach().clone() for w in weights]
        self._steps = self._taken = self._epochs = self._times = 0
        self._is_shown = False

    def before_forward(self, model: torch.nn.Module, *_: Any) -> None:
        evaluates = not model.training and (not torch.is_grad_enabled() or self._session.validating())
        if evaluates:
            self._show()
        else:
            self._put_back()

    def before_step(self, *_: Any) -> None:
        self._put_back()

    def before_batch(self, batch: Any) -> Any:
        self._put_back()
        return batch

    def on_epoch(self, _: Any) -> None:
        self._epochs += 1

    def on_step(self, step: int) -> None:
        self._steps += 1
        if self._kind == "swa" and not self._is_late(step):
            return
        self._taken += 1
        # decay, but at first less: 0.18 after one step, 0.55 after ten
        fades = min(self._decay, (1 + self._taken) / (10 + self._taken))
        own = 1 - fades if self._kind == "ema" else 1 / self._taken
        with torch.no_grad():
            now = [w.detach().to(a.dtype) for w, a in zip(self._weights, self._average, strict=True)]
            torch._foreach_lerp_(self._average, now, own)

    def finish(self) -> None:
        """Leave the average in the model; where the best weights were put back they are averages already."""
        self._session.note("average_weights", {"kind": self._kind, "steps": self._taken, "shown": self._times})
        if "best_weights_epoch" not in self._session.facts:
            self._show()

    def _is_late(self, step: int) -> bool:
        length = self._session.epochs or 1
        return (step if self._session.step_based else self._epochs) >= LAST * length

    def _show(self) -> None:
        if self._is_shown or not self._taken:
            return
        self._is_shown = True
        self._times += 1
        with torch.inference_mode(mode=False), torch.no_grad():
            _copy(self._raw, self._weights)
            _copy(self._weights, self._average)

    def _put_back(self) -> None:
        if not self._is_shown:
            return
        self._is_shown = False
        with torch.inference_mode(mode=False), torch.no_grad():
            _copy(self._weights, self._raw)


def _exact(weight: Tensor) -> Tensor:
    """A copy in float32 at least: in bfloat16 a thousandth of a weight would be rounded away."""
    dtype = torch.promote_types(weight.dtype, torch.float32) if weight.is_floating_point() else weight.dtype
    return weight.detach().to(dtype, copy=True)


def _copy(to: Any, values: Any) -> None:
    for own, value in zip(to, values, strict=True):
        own.copy_(value)
