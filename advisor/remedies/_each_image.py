"""A change of every image by itself, as a forward pre-hook of the model: validation and later use get it too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.record import Record
from advisor.remedies import Session
from advisor.remedies._batches import batch_seen, example_of, find_input


class EachImage(ABC):
    """Passes the images (N, C, H, W) among what a model is called with through `change`.

    A class of this module, so that models pickle. reached: a training forward came through
    """

    def __init__(self, channels: int) -> None:
        self.channels, self.reached = channels, False

    def __call__(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if model.training and not self.reached:
            self.reached = True
        first = next((i for i, value in enumerate(args) if self._is_images(value)), None)
        if first is not None:
            return (*args[:first], self.change(args[first]), *args[first + 1 :]), kwargs
        named = next((key for key, value in kwargs.items() if self._is_images(value)), None)
        return None if named is None else (args, {**kwargs, named: self.change(kwargs[named])})

    @abstractmethod
    def change(self, images: Tensor) -> Tensor:
        """Same shape and type."""

    def _is_images(self, value: Any) -> bool:
        return (
            isinstance(value, Tensor)
            and value.is_floating_point()
            and value.dim() == 4
            and value.shape[1] == self.channels
        )


def has_images(evidence: Evidence) -> bool:
    """Whether the training batches are known to be floating images."""
    seen = batch_seen(evidence)
    return seen is not None and seen.floating and len(seen.shape) == 4


def images_of(session: Session, name: str) -> Tensor:
    """A training batch of floating images. Raises: CannotApply."""
    inputs = find_input(example_of(session, name)[0])
    if inputs is None or inputs.dim() != 4 or not inputs.is_floating_point():
        raise CannotApply("expected images (N, C, H, W) with floating numbers", context=name)
    return inputs


def graft(session: Session, name: str, hook: EachImage) -> None:
    """Register the hook for good; the remedy's fact says whether a training forward came through."""
    session.model.register_forward_pre_hook(hook, with_kwargs=True)
    session.note(name, {"reached": False})
    session.on_finish(lambda: session.note(name, {"reached": hook.reached}))


def was_reached(record: Record, name: str) -> bool:
    note = record.facts.get(f"remedy.{name}")
    return isinstance(note, dict) and bool(note.get("reached"))
