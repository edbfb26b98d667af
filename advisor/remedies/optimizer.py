"""Trains with another optimizer: the user's own object becomes one of the other class.

## What it does
Builds the new optimizer over the same parameters and moves it into the existing object: its class, its defaults and
its param_groups, which stay the same dictionaries. So `zero_grad`, hooks, schedulers, `GradScaler`, closures and
`state_dict` work on as they did, and the run is the one that this optimizer would have made from the start. The highest
learning rate becomes `lr`, the others keep their ratio to it. `weight_decay` keeps its number.

## When it helps
Slow convergence with SGD on ill-scaled problems (AdamW); a gap to validation with Adam that SGD with momentum often
narrows (Wilson et al. 2017).

## When it hurts
A learning rate tuned for one optimizer is wrong for another by orders of magnitude, and 5e-4 of weight decay is much
for SGD and next to nothing for AdamW.

## Cost
AdamW and Adam keep two numbers a parameter, SGD with momentum one.

## References
Kingma, Ba: Adam: A Method for Stochastic Optimization. arXiv 1412.6980.
Loshchilov, Hutter: Decoupled Weight Decay Regularization. arXiv 1711.05101.
Sutskever, Martens, Dahl, Hinton: On the importance of initialization and momentum in deep learning (Nesterov's
momentum). ICML 2013.
Wilson, Roelofs, Stern, Srebro, Recht: The Marginal Value of Adaptive Gradient Methods in Machine Learning. NIPS 2017,
arXiv 1705.08292.
"""

from __future__ import annotations

from functools import wraps
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.optim import Optimizer

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._rates import attached, highest, scale

CHANGES = frozenset({"optimizer", "learning_rate"})
LASTS = "optimizer"
Kind = Literal["adamw", "adam", "sgd", "rmsprop"]
CLASSES: dict[Kind, type[Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}
# torch's and Kingma and Ba's default for Adam; what He et al. 2015 (arXiv 1512.03385) begin with for SGD; the
# default of Keras for RMSprop (torch's own is 0.01)
RATES: dict[Kind, float] = {"adamw": 1e-3, "adam": 1e-3, "sgd": 0.1, "rmsprop": 1e-3}
MOMENTUM = 0.9  # He et al. 2015
SHARED = ("weight_decay", "maximize")  # options that mean the same in every class


class Parameters(_Parameters):
    """lr: the highest new rate, by default what is usual for the optimizer.

    momentum: of sgd, by default 0.9, and of rmsprop, by default 0;  nesterov: of sgd
    """

    kind: Kind = "adamw"
    lr: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    momentum: float | None = Field(default=None, ge=0.0, lt=1.0)
    nesterov: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """What the optimizer's class is given beside the rate."""
        if self.kind == "sgd":
            return {"momentum": MOMENTUM if self.momentum is None else self.momentum, "nesterov": self.nesterov}
        return {"momentum": self.momentum} if self.kind == "rmsprop" and self.momentum else {}

    @model_validator(mode="after")
    def _fits_together(self) -> Parameters:
        if self.nesterov and (self.kind != "sgd" or self.momentum == 0.0):
            raise ValueError("nesterov is a kind of momentum of sgd")
        return self


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """AdamW and momentum for a run with SGD, SGD at two rates for a run with Adam, AdamW for any other.

    Where the momentum is too high, the same optimizer with the usual one comes first.
    """
    try:
        groups = evidence.fact("optimizer")
    except Missing:
        return []
    first = groups[0] if isinstance(groups, list) and groups else None
    group = first if isinstance(first, dict) else {}
    used = str(group.get("class"))
    if used.startswith("Adam"):
        return [Parameters(kind="sgd", lr=rate, momentum=MOMENTUM) for rate in (RATES["sgd"], RATES["sgd"] / 10)]
    usual, faster = (Parameters(kind="adamw", lr=rate) for rate in (RATES["adamw"], RATES["adamw"] * 3))
    rate = group.get("lr")
    if isinstance(rate, float) and any(finding.rule == "momentum_too_high" for finding in diagnosis.findings):
        kind: Kind = "rmsprop" if used == "RMSprop" else "sgd"
        return [Parameters(kind=kind, lr=rate, momentum=MOMENTUM), usual, faster]
    if used == "SGD" and isinstance(rate, float) and group.get("momentum") == 0.0:
        # a step with momentum m is 1/(1-m) times as long in the end (Goh, Why Momentum Really Works, Distill 2017)
        return [usual, Parameters(kind="sgd", lr=rate * (1 - MOMENTUM), momentum=MOMENTUM, nesterov=True), faster]
    return [usual, faster]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply for optimizers that are not torch's own, that are of this class already, or do not fit."""
    rate = highest(session.optimizers) if session.optimizers else 0.0
    if not rate:
        raise CannotApply("no optimizer with a learning rate above 0", context="optimizer")
    target = CLASSES[parameters.kind]
    before = [type(optimizer).__name__ for optimizer in session.optimizers]
    for optimizer in session.optimizers:
        _check(optimizer, target, parameters.options)
    if any(getattr(scheduler, "cycle_momentum", False) for scheduler in attached(session)):
        raise CannotApply("a scheduler cycles the momentum of the old optimizer", context="optimizer")
    if any(getattr(part, "sparse", False) and isinstance(part, nn.Embedding) for part in session.model.modules()):
        raise CannotApply("an embedding with sparse gradients", context="optimizer", hint="AdamW needs dense ones")
    lr = parameters.lr or RATES[parameters.kind]
    for optimizer in session.optimizers:
        become(optimizer, target, parameters.options)
    scale(session, session.optimizers, lr / rate)
    rates: dict[str, Json] = {"was": rate, "lr": lr}
    session.note("optimizer", {"before": list(before), "after": target.__name__, **rates, **parameters.options})


def took_effect(record: Record, parameters: Parameters) -> bool:
    """Whether the record's optimizers are of the new class."""
    groups = record.facts.get("optimizer")
    if "remedy.optimizer" not in record.facts:
        return False
    if not isinstance(groups, list):
        return True
    return all(isinstance(g, dict) and g.get("class") == CLASSES[parameters.kind].__name__ for g in groups)


def become(optimizer: Optimizer, kind: type[Optimizer], options: dict[str, Any]) -> None:
    """Turn an optimizer into one of another class in place, with its parameters, rates and what others left in it.

    An object around two optimizers would have to keep two states, two classes and two sets of hooks alike; one that
    changes its class has nothing to keep alike.
    """
    groups, tailored = optimizer.param_groups, []
    for group in groups:
        own = {name: value for name, value in group.items() if name not in optimizer.defaults and name != "param_names"}
        shared = {name: group[name] for name in SHARED if name in group}
        tailored.append({**own, **shared, "lr": float(group["lr"])})
    fresh: Any = kind
    fresh = fresh(tailored, **options)
    for group, new in zip(groups, fresh.param_groups, strict=True):
        kept: dict[str, Any] = {name: group[name] for name in ("params", "param_names") if name in group}
        group.clear()
        group.update({**new, **kept})
    wrapped = "step" in vars(optimizer)
    vars(optimizer).pop("step", None)
    vars(optimizer).pop("_step_supports_amp_scaling", None)  # of a fused step, which the new one is not
    hooks = {name for name in vars(fresh) if name.endswith("_hooks")}
    new_attributes = {k: v for k, v in vars(fresh).items() if k not in hooks | {"param_groups", "state"}}
    optimizer.__class__ = kind
    vars(optimizer).update(new_attributes)
    optimizer.state.clear()
    if wrapped:
        _count_steps(optimizer)


def _check(optimizer: Optimizer, kind: type[Optimizer], options: dict[str, Any]) -> None:
    as_asked = all(group.get(name) == value for group in optimizer.param_groups for name, value in options.items())
    if type(optimizer) is kind and as_asked:
        raise CannotApply(f"the optimizer is {kind.__name__} already", context="optimizer", hint="try learning_rate")
    if not type(optimizer).__module__.startswith("torch.optim."):
        raise CannotApply(
            f"{type(optimizer).__name__} is not one of torch's own and may do more than a step", context="optimizer"
        )
    if "step" in vars(optimizer) and not hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        raise CannotApply("optimizer.step has been replaced", context="optimizer")


def _count_steps(optimizer: Any) -> None:
    """Put back what a scheduler had laid over the old class's step, to know that a step came before its own."""
    step = type(optimizer).step

    @wraps(step)
    def counted(*args: Any, **kwargs: Any) -> Any:
        optimizer._opt_called = True
        return step(optimizer, *args, **kwargs)

    counted._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
    optimizer.step = counted
