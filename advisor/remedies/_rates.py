"""A session's optimizers and a factor -> every number that fixes a learning rate, scaled where it lives."""

from __future__ import annotations

import gc
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from advisor.remedies import Session

IN_GROUPS = ("lr", "initial_lr", "max_lr", "min_lr")  # what torch's optimizers and schedulers keep in a param_group
IN_SCHEDULERS = ("base_lrs", "max_lrs", "min_lrs", "_last_lr", "eta_min")  # and what they keep in themselves


def attached(session: Session) -> list[Any]:
    """The schedulers that act on the session's optimizers, also those that nobody told the session of.

    Asked of the garbage collector: an optimizer does not know its schedulers, and a script that passes none to
    `advisor.watch` may have one all the same.
    """
    found = {id(scheduler): scheduler for scheduler in session.schedulers}
    for thing in gc.get_objects():
        # type(): isinstance would ask a proxy for its __class__, and a dead proxy raises
        if issubclass(type(thing), LRScheduler) and any(thing.optimizer is o for o in session.optimizers):
            found.setdefault(id(thing), thing)
    return list(found.values())


def rate(group: dict[str, Any]) -> float:
    """The learning rate that a param_group is built around: a schedule's peak or start, else its current one."""
    return float(group.get("max_lr", group.get("initial_lr", group["lr"])))


def highest(optimizers: list[Optimizer]) -> float:
    """The largest learning rate among all param_groups."""
    return max(rate(group) for optimizer in optimizers for group in optimizer.param_groups)


def scale(session: Session, optimizers: list[Optimizer], factor: float) -> None:
    """Multiply the learning rate of every param_group, now and in whatever its schedulers will make of it."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for key in IN_GROUPS:
                if group.get(key) is not None:
                    group[key] = group[key] * factor
    for scheduler in attached(session):
        if getattr(scheduler, "optimizer", None) not in optimizers:
            continue
        for key in IN_SCHEDULERS:
            value = getattr(scheduler, key, None)
            if isinstance(value, list):
                setattr(scheduler, key, [one * factor for one in value])
            elif value is not None:
                setattr(scheduler, key, value * factor)
