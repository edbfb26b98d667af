"""The other ranks of a distributed run: what a plan does during training, and nothing that is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from advisor import taps
from advisor.errors import CannotApply
from advisor.remedies import EpochEnd, Session

T = TypeVar("T")


def is_other() -> bool:
    """Whether this process is a rank of a distributed run that does not record."""
    return is_distributed() and torch.distributed.get_rank() != 0


def is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def check_plan_fits(session: Session) -> None:
    """Raises: CannotApply where a remedy would decide by a score that only rank 0 knows."""
    if is_distributed() and session.decides_by_score:
        session.leave()
        raise CannotApply(
            "a remedy of this plan acts on the epoch's score, which only rank 0 measures",
            context="plan in a distributed run",
            hint="leave early_stopping out, or train in one process",
        )


def acting(session: Session, items: Iterator[T]) -> Iterator[T]:
    """The loop's items, with the plan's changes of batches and its actions after steps and epochs."""
    follower = _Follower(session)
    taps.listen(follower)
    handle = session.optimizers[0].register_step_post_hook(follower.stepped)
    try:
        for number, item in enumerate(items):
            before = follower.steps
            with session.looping():
                yield item
            session.step_based = session.step_based or (number == 0 and follower.steps - before <= 1)
            if not session.step_based:
                for act in session.epoch_actions:
                    act(EpochEnd(number, None))
    finally:
        handle.remove()
        taps.leave(follower)
        try:
            for action in session.finish_actions:
                action()
        finally:
            session.leave()


class _Follower:
    """A listener that only acts."""

    close = False

    def __init__(self, session: Session) -> None:
        self._session = session
        self.loss_changes = session.loss_changes
        self.steps = 0

    def stepped(self, optimizer: Optimizer, *_: Any) -> None:
        if id(optimizer) in self._session.skipped_steps:
            return
        self.steps += 1
        for action in self._session.step_actions:
            action(self.steps)

    def heard_batch(self, loader: DataLoader[Any], batch: Any, _began: float, _ended: float) -> Any:
        training = loader is self._session.train if self._session.train is not None else self._session.model.training
        if training and torch.is_grad_enabled():
            for change in self._session.batch_changes:
                batch = change(batch)
        return batch

    def heard_loss(self, name: str, function: Callable[..., Any], args: Any, kwargs: Any, value: Any) -> None: ...

    def heard_before_backward(self, root: Tensor) -> None: ...

    def heard_backward(self, root: Tensor, began: float, ended: float) -> None: ...

    def heard_exhausted(self, loader: DataLoader[Any]) -> None: ...
