"""Lets the learning rate fall over the run, with or without a rise at its beginning.

## What it does
Sets `lr` after every optimizer step to the group's own rate times a curve over the whole run:
`cosine` falls to 0; `warmup_cosine` rises first; `warmup` rises and stays; `one_cycle` rises for 30 % of the run from
1/25 and falls to almost 0; `step` divides by 10 at 50 % and again at 75 %; `exponential` falls evenly to 1/100, where
`step` ends too. `plateau` follows no curve: it divides by 10 whenever the score has not improved for a tenth of the
run. The length of the run is asked at every step, so that a plan may change the number of epochs too. Only the rate
moves: `one_cycle` leaves the momentum alone. With `instead` it takes the place of the run's own scheduler, whose steps
then move nothing, and goes on from that one's peak.

## When it helps
A loss that jitters around its floor at the end of the run; a network that needs a small rate to get going. In the place
of a schedule that is shorter than the run: a rate that lasts.

## When it hurts
On a run that is too short already: most of its steps get a lower rate. Where the loop sets the rate by itself.

## Cost
None.

## References
Loshchilov, Hutter: SGDR: Stochastic Gradient Descent with Warm Restarts (cosine). arXiv 1608.03983.
Goyal et al.: Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour (gradual warm-up). arXiv 1706.02677.
Smith, Topin: Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates (one cycle, then far
below its start; the lengths here are those of torch's OneCycleLR). arXiv 1708.07120.
He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (divided by 10 at 32k and 48k of 64k iterations).
arXiv 1512.03385.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.record import Record
from advisor.remedies import Epoch, Session
from advisor.remedies import Parameters as _Parameters
from advisor.remedies._rates import attached, rate
from advisor.remedies._scheduler_steps import intercept

CHANGES = frozenset({"schedule"})
Kind = Literal["cosine", "warmup_cosine", "one_cycle", "step", "exponential", "warmup", "plateau"]
RISING = ("warmup_cosine", "warmup", "one_cycle")
START, RISE, END = 1 / 25, 0.3, 1 / 25e4  # one_cycle: torch's defaults div_factor, pct_start and final_div_factor
DROPS, DROP = (0.5, 0.75), 0.1  # step: He et al. 2015, 32k and 48k of 64k iterations
ROUNDING = 1e-9  # of shares of the run, which are sums of tenths and the like
PATIENCE = 0.1  # plateau: share of the run without a better score; torch's default is 10 epochs, of a run of about 100


class Parameters(_Parameters):
    """The curve, and whether it takes the place of another.

    kind:    the curve
    warmup:  share of the run in which `warmup_cosine` and `warmup` rise from 0
    instead: of the scheduler that the run has
    """

    kind: Kind = "cosine"
    warmup: float = Field(default=0.05, gt=0.0, lt=1.0)  # Goyal et al. 2017: 5 of 90 epochs
    instead: bool = False


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """Falling first, rising first where training is unstable; none where the run is too short or has a scheduler.

    A scheduler that took the rate away is replaced.
    """
    fired = {finding.rule for finding in diagnosis.findings}
    try:
        if evidence.fact("scheduler") is not None:
            lasts = evidence.info.epochs is not None and "learning_rate_collapsed" in fired
            return [Parameters(kind="cosine", instead=True)] if lasts else []
    except Missing:
        pass
    if evidence.info.epochs is None or fired & {"too_few_epochs", "learning_rate_too_low"}:
        return []
    choices = [Parameters(kind="cosine"), Parameters(kind="one_cycle")]
    if fired & {"unstable_loss", "exploding_gradients", "dead_units"}:
        return [Parameters(kind="warmup_cosine"), choices[0], Parameters(kind="warmup")]
    if evidence.has("val_score") or evidence.has("val_loss"):
        choices.append(Parameters(kind="plateau"))
    return choices


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where a scheduler is there that is to stay, or the length of the run is not known."""
    there = attached(session)
    if there and not (parameters.instead and all(isinstance(one, LRScheduler) for one in there)):
        raise CannotApply(f"the run has a scheduler ({type(there[0]).__name__})", context="learning_rate_schedule")
    if session.epochs is None:
        raise CannotApply("an endless loop has no end to fall towards", context="learning_rate_schedule")
    if not session.optimizers:
        raise CannotApply("no optimizer", context="learning_rate_schedule")
    steps = _steps_per_epoch(session)
    if steps is None and not session.step_based and parameters.kind in RISING:
        raise CannotApply(
            "the number of steps in an epoch is not known", context="learning_rate_schedule", hint="pass train="
        )
    for scheduler in there:
        session.on_leave(intercept(scheduler, lambda _: None))
    for optimizer in session.optimizers:
        for group in optimizer.param_groups:
            if there:
                group["initial_lr"] = rate(group)
            group.setdefault("initial_lr", float(group["lr"]))
    schedule = Schedule(session, parameters, steps)
    schedule.set()
    session.on_step(schedule.on_step)
    session.on_epoch(schedule.on_epoch, by_score=parameters.kind == "plateau")
    session.note("learning_rate_schedule", {"kind": parameters.kind})
    session.on_finish(lambda: session.note("learning_rate_schedule", {"kind": parameters.kind, "steps": schedule.step}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any curve moves the rate
    """Whether the recorded rate moved."""
    series = record.series.get("lr")
    if "remedy.learning_rate_schedule" not in record.facts:
        return False
    return series is None or not len(series.steps) or bool((series.values.min(0) < series.values.max(0)).any())


@dataclass
class Schedule:
    """Where the run is, and the rate that belongs there."""

    session: Session
    parameters: Parameters
    steps_per_epoch: int | None
    epochs_done: int = 0
    step: int = 0
    epoch_began: int = 0  # number of the last step before the current epoch
    best: float = -math.inf
    improved: float = 0.0  # share of the run that was over when the score was best, or the rate last fell
    drops: int = 0

    def on_step(self, step: int) -> None:
        self.step = step
        self.set()

    def on_epoch(self, epoch: Epoch) -> None:
        taken = self.step - self.epoch_began
        if taken:  # gradient accumulation or several optimizers: the true number is known now
            self.steps_per_epoch = taken
        self.epochs_done += 1
        self.epoch_began = self.step
        if self.parameters.kind == "plateau":
            self._judge(epoch.score)
        self.set()

    @property
    def progress(self) -> float:
        """Share of the run that is over, in [0, 1]."""
        length = max(self.session.epochs or 1, 1)
        if self.session.step_based:
            return min(self.step / length, 1.0)
        within = min((self.step - self.epoch_began) / self.steps_per_epoch, 1.0) if self.steps_per_epoch else 0.0
        return min((self.epochs_done + within) / length, 1.0)

    def _judge(self, score: float | None) -> None:
        if score is None:  # not measured in this epoch
            return
        if score > self.best:
            self.best, self.improved = score, self.progress
        elif self.progress - self.improved >= PATIENCE - ROUNDING:
            self.drops, self.improved = self.drops + 1, self.progress

    def set(self) -> None:
        curved = curve(self.parameters.kind, self.progress, self.parameters.warmup)
        factor = DROP**self.drops * curved
        for optimizer in self.session.optimizers:
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(group["initial_lr"] * factor)
                else:
                    group["lr"] = group["initial_lr"] * factor


def curve(kind: Kind, progress: float, warmup: float) -> float:
    """What the rate is multiplied by at a share of the run."""
    if kind == "step":
        return float(DROP ** sum(progress >= drop for drop in DROPS))
    if kind == "plateau":
        return 1.0
    if kind == "exponential":
        return float(DROP ** (len(DROPS) * progress))
    if kind == "cosine":
        return _fall(progress)
    if kind == "one_cycle":
        if progress < RISE:
            return START + (1 - START) * (1 - _fall(progress / RISE))
        return END + (1 - END) * _fall((progress - RISE) / (1 - RISE))
    if progress < warmup:
        return max(progress / warmup, START)  # not from 0 itself: the first step would be lost
    if kind == "warmup":
        return 1.0
    return _fall((progress - warmup) / (1 - warmup))


def _fall(share: float) -> float:
    """From 1 to 0 along half a cosine."""
    return (1 + math.cos(math.pi * share)) / 2


def _steps_per_epoch(session: Session) -> int | None:
    try:
        return len(session.train) if session.train is not None else None
    except TypeError:  # an IterableDataset without a length
        return None
