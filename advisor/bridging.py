"""How a loop takes its model's output to its loss: learnt from one training batch, so that our own passes do the same.

`loss_fn(model(x).transpose(1, 2), y)`, `loss_fn(model(x).squeeze(1), y.float())`, `nll_loss(log_softmax(model(x), 1),
y)`: what stands between is found by trying the ways that people write; it is used only where it gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Way = Callable[[Tensor], Tensor]

MOST = 10**6  # elements of an output that is compared by value: a copy of 4 MB is kept until the epoch ends
SHAPES: tuple[Way, ...] = (
    lambda t: t,
    lambda t: t.squeeze(-1),
    lambda t: t.squeeze(),
    lambda t: t.unsqueeze(-1),
    lambda t: t.reshape(-1),
    lambda t: t.reshape(-1, t.shape[-1]),
    lambda t: t.transpose(1, 2),
    lambda t: t.movedim(-1, 1),
    lambda t: t.flatten(1),
    lambda t: t[:, -1],
    lambda t: t[..., 0],
    lambda t: t[:, :-1],
    lambda t: t[:, 1:],
    lambda t: t[:, :-1].reshape(-1, t.shape[-1]),
    lambda t: t[:, 1:].reshape(-1),
    lambda t: t[:, :-1].transpose(1, 2),
    lambda t: t.transpose(1, 2).reshape(-1, t.shape[1]),
)
VALUES: tuple[Way, ...] = (
    lambda t: functional.log_softmax(t, -1),
    lambda t: functional.log_softmax(t, 1),
    lambda t: functional.softmax(t, -1),
    torch.sigmoid,
    torch.tanh,
    torch.exp,
)


def main_output(output: Any) -> Tensor | None:
    """What a model predicted: its output, `.logits`, `["logits"]`, or the first tensor with a dimension."""
    if isinstance(output, Tensor):
        return output if output.dim() else None
    logits = getattr(output, "logits", None)
    if logits is None and isinstance(output, dict):
        logits = output.get("logits")
    if isinstance(logits, Tensor):
        return logits
    return next(iter(parts_of(output)), None)


def parts_of(output: Any) -> list[Tensor]:
    """The tensors with a dimension of a tuple, a list, a dict or a dataclass that a model returned; else none."""
    if is_dataclass(output):
        output = [getattr(output, part.name, None) for part in fields(output)]
    values = output.values() if isinstance(output, dict) else output if isinstance(output, tuple | list) else ()
    return [value for value in values if isinstance(value, Tensor) and value.dim()]


@dataclass(slots=True)
class Bridge:
    """output: what the model gives -> what the loss gets; target: a batch's second element -> what the loss gets.

    part: which of several tensors that the model returns; None: its main output
    """

    part: int | None = None
    output: Way = SHAPES[0]
    target: Way = SHAPES[0]
    lost: bool = False  # the loss gets something of another shape that none of the ways leads to
    target_lost: bool = False  # the loss gets more or fewer targets than the batch has, and no way leads there
    _open: tuple[Tensor, Tensor] | None = None  # an output and what became of it, to be compared by value later

    def find(self, output: Any, reached: Tensor | None) -> Tensor | None:
        """The part of what the model gave in a training batch that became what the loss got; as `take` has it later."""
        parts, usual = parts_of(output), main_output(output)
        if reached is not None and len(parts) > 1:
            views = (i for i, p in enumerate(parts) if any(_gives(w, p, reached, _same_place) for w in SHAPES))
            shaped = (i for i, p in enumerate(parts) if _same_shape(p, reached))
            alike = usual is not None and _same_shape(usual, reached)
            self.part = next(views, None if alike else next(shaped, None))
        return self.take(output)

    def take(self, output: Any) -> Tensor | None:
        """That part of what the model gives for another batch."""
        parts = parts_of(output) if self.part is not None else []
        return parts[self.part] if self.part is not None and self.part < len(parts) else main_output(output)

    def learn(self, output: Tensor | None, reached: Tensor | None, given: Tensor | None, target: Tensor | None) -> None:
        """One training batch: the model's output, what the loss got of it, the batch's target, the loss's target.

        Compares where tensors lie, and waits for no device; where that does not tell, `settle` compares values.
        """
        if output is not None and reached is not None and not _same_place(output, reached):
            way = next((w for w in SHAPES if _gives(w, output, reached, _same_place)), None)
            if way is not None:
                self.output = way
            elif output.numel() <= MOST and reached.numel() <= MOST:
                self._open = (output.detach().clone(), reached.detach().clone())
            else:
                self.lost = output.shape != reached.shape
        if given is not None and target is not None and not _alike(given, target):
            shaped = next((w for w in SHAPES if _gives(w, given, target, _same_shape)), None)
            if shaped is not None:
                dtype = target.dtype
                self.target = lambda t: shaped(t).to(dtype)
            self.target_lost = shaped is None and given.shape[:1] != target.shape[:1]

    def settle(self) -> None:
        """Find the way of what was kept by its values; called once, where waiting for the device is allowed."""
        pair, self._open = self._open, None
        if pair is not None:
            output, reached = pair
            way = next((w for w in _ways() if _gives(w, output, reached, _same_values)), None)
            self.output = way or self.output
            self.lost = way is None and output.shape != reached.shape


@dataclass(frozen=True, slots=True)
class Again:
    """The loop's loss function, to be computed again on other data: of what the model gives, and a target that fits.

    function: outputs and targets as the loop's loss gets them -> loss, not normalised
    """

    function: Callable[[Any, Any], Any]
    bridge: Bridge

    @property
    def reduction(self) -> str | None:
        found = getattr(self.function, "reduction", None)
        return found if isinstance(found, str) else None

    @property
    def lost(self) -> bool:
        """What the loss gets of a model's output is not known."""
        return self.bridge.lost

    def output(self, output: Tensor) -> Tensor:
        """What the loss gets of a model's output."""
        return self.bridge.output(output)

    def target(self, target: Tensor) -> Tensor | None:
        """What the loss gets of a batch's target; None where that is not known."""
        return None if self.bridge.target_lost else self.bridge.target(target)


def _ways() -> Iterator[Way]:
    yield from SHAPES
    for shape, value in product(SHAPES, VALUES):
        yield lambda t, shape=shape, value=value: value(shape(t))  # type: ignore[misc]
        yield lambda t, shape=shape, value=value: shape(value(t))  # type: ignore[misc]


def _gives(way: Way, given: Tensor, wanted: Tensor, same: Callable[[Tensor, Tensor], bool]) -> bool:
    try:
        return same(way(given), wanted)
    except (RuntimeError, IndexError, ValueError):  # a shape that this way cannot take
        return False


def _same_place(one: Tensor, other: Tensor) -> bool:
    return _same_shape(one, other) and one.data_ptr() == other.data_ptr() and one.stride() == other.stride()


def _same_shape(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape


def _same_values(one: Tensor, other: Tensor) -> bool:
    return _same_shape(one, other) and torch.equal(one.to(other.dtype), other)


def _alike(one: Tensor, other: Tensor) -> bool:
    return _same_shape(one, other) and one.dtype == other.dtype
