"""A scheduler of the run's and a function -> until that is undone, the scheduler's `step` calls the function."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any

from torch.optim.lr_scheduler import LRScheduler

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def intercept(scheduler: LRScheduler, instead: Callable[[Arguments], None]) -> Callable[[], None]:
    """What undoes it.

    The scheduler's class is exchanged for one of the same name, and not its attribute `step`, which its `state_dict`
    would hold. Copies and pickles are of the class itself.
    """
    own: type[Any] = type(scheduler)

    def step(other: Any, *args: Any, **kwargs: Any) -> None:
        instead((args, kwargs)) if other is scheduler else own.step(other, *args, **kwargs)

    def reduced(other: Any, _: Any) -> Any:
        return copyreg._reconstructor, (own, object, None), vars(other)  # type: ignore[attr-defined]

    def undo() -> None:
        scheduler.__class__ = own

    named = {"__module__": own.__module__, "__qualname__": own.__qualname__, "__doc__": own.__doc__}
    scheduler.__class__ = type(own.__name__, (own,), {**named, "step": step, "__reduce_ex__": reduced})
    return undo
