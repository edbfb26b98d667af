"""A session and an act -> the act runs before every step of every optimizer, once the gradients are what it will get.

Where a loop gives `step` a closure, the gradients are made inside: the act then follows the closure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import LBFGS, Optimizer

from advisor.errors import CannotApply
from advisor.remedies import Session


def before_steps(session: Session, act: Callable[[Optimizer], None], remedy: str) -> None:
    """Until the loop is left. `act` runs without gradients.

    Raises: CannotApply where there is no optimizer, or one that takes several gradients for a step.
    """
    if not session.optimizers:
        raise CannotApply("no optimizer", context=remedy)
    if any(isinstance(optimizer, LBFGS) for optimizer in session.optimizers):
        raise CannotApply("LBFGS searches along its line by gradients that must stay as they are", context=remedy)

    def before(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        closure = kwargs["closure"] if "closure" in kwargs else args[1] if len(args) > 1 else None
        if closure is None:
            with torch.no_grad():
                act(optimizer)
            return None

        def closed() -> Any:
            loss = closure()
            with torch.no_grad():
                act(optimizer)
            return loss

        if "closure" in kwargs:
            return args, {**kwargs, "closure": closed}
        return (args[0], closed, *args[2:]), kwargs

    for optimizer in session.optimizers:
        session.on_leave(optimizer.register_step_pre_hook(before).remove)


def with_gradients(optimizer: Optimizer) -> list[Tensor]:
    """An optimizer's parameters that have a gradient, in its order."""
    return [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
