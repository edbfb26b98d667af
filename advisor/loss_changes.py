"""What a plan changes in a loop's loss: another function, other arguments; the loop's own call stays as it is.

Torch's loss functions are reached wherever they are called while the loop runs; a `loss_fn` of the user's own that is a
module is reached by a hook, which gives another value in the place of its own.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class LossArguments:
    """A call of a loss function, before it is computed.

    name:  of torch.nn.functional, or of the user's own class
    given: arguments by name (input, target, weight, reduction, ignore_index …); of a function of the user's own `input`
           and `target`. `input` is what the model gave, whichever side the loop hands over first
    scale: multiplies the value
    target_first: the loop calls it as `loss_fn(target, output)`
    """

    name: str
    given: Mapping[str, Any]
    scale: float = 1.0
    target_first: bool = False

    @property
    def output(self) -> Tensor | None:
        """What the model gave."""
        return _tensor(self.given.get("input"))

    @property
    def target(self) -> Tensor | None:
        return _tensor(self.given.get("target"))

    def replace(self, name: str | None = None, **given: Any) -> LossArguments:
        """The same call with another function or other arguments."""
        return dataclasses.replace(self, name=name or self.name, given={**self.given, **given})

    def exchanged(self, name: str, **given: Any) -> LossArguments:
        """Another function with these arguments and no others, its value as many times as large."""
        return dataclasses.replace(self, name=name, given=given)

    def scaled(self, factor: float) -> LossArguments:
        """The same call, its value `factor` times as large."""
        return dataclasses.replace(self, scale=self.scale * factor)


LossChange = Callable[[LossArguments], LossArguments]


class Sides:
    """The change before all others: what the model gave becomes `input`, also where the loop calls it the other way.

    Gradients tell which side it is. Where there are none, as in validation, what training showed of the function holds.
    """

    def __init__(self) -> None:
        self._target_first: dict[str, bool] = {}

    def __call__(self, call: LossArguments) -> LossArguments:
        first, second = call.output, call.target
        if first is None or second is None:
            return call
        turned = is_target_first(first, second)
        if first.requires_grad is not second.requires_grad:
            if self._target_first.get(call.name) is not turned:  # written once: a compiled region is not compiled anew
                self._target_first[call.name] = turned
        elif not first.requires_grad:
            turned = self._target_first.get(call.name, False)
        return dataclasses.replace(call, given=_turned(call.given), target_first=True) if turned else call


def is_target_first(first: object, second: object) -> bool:
    """Whether what stands second was computed by what is trained, and what stands first was not."""
    tensors = isinstance(first, Tensor) and isinstance(second, Tensor)
    return tensors and second.requires_grad and not first.requires_grad  # type: ignore[attr-defined]  # they are


class ChangedLoss:
    """A loss function of torch's, with the changes of a plan before it; called as the function itself is."""

    def __init__(self, name: str, function: Callable[..., Any], changes: Sequence[LossChange], others: Any) -> None:
        self._name, self._function, self._changes, self._others = name, function, changes, others

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call = self.changed(args, kwargs)
        function = self._function if call.name == self._name else self._others(call.name)
        given = _turned(call.given) if self.gets_target_first(call) else call.given
        return _scaled(function(**given), call.scale)

    def changed(self, args: Any, kwargs: Any) -> LossArguments:
        """What is really computed."""
        call = LossArguments(self._name, {**dict(zip(parameter_names(self._function), args, strict=False)), **kwargs})
        for change in self._changes:
            call = change(call)
        return call

    def gets_target_first(self, call: LossArguments) -> bool:
        """Whether the loop's order is kept: another function gets its arguments in its own."""
        return call.target_first and call.name == self._name


def own_module(loss_fn: object) -> nn.Module | None:
    """A loss of the user's own that is a module; None for one of torch's, and for a function."""
    own = isinstance(loss_fn, nn.Module) and type(loss_fn).__module__ != nn.modules.loss.__name__
    return loss_fn if own else None  # type: ignore[return-value]  # it is one


def hook_loss_fn(loss_fn: nn.Module, changes: Sequence[LossChange]) -> Callable[[], None]:
    """Let changes act on a loss of the user's own; returns what ends that.

    Only a change that names one of torch's functions can be computed: the user's own function is a closed box.
    """

    def hook(module: nn.Module, args: Any, kwargs: Any, _: Any) -> Any:
        name = type(module).__name__
        call = LossArguments(name, {**dict(zip(("input", "target"), args, strict=False)), **kwargs})
        for change in changes:
            call = change(call)
            if call.name != name:  # the other changes are made where torch's function is called
                return _scaled(getattr(functional, call.name)(**call.given), call.scale)
        return None

    handle = loss_fn.register_forward_hook(hook, with_kwargs=True, prepend=True)
    return handle.remove


@cache
def parameter_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Of one of torch's functions; () for anything else, whose first two arguments have to do."""
    if getattr(function, "__module__", "") != functional.__name__:
        return ()
    return tuple(inspect.signature(function).parameters)


def _turned(given: Mapping[str, Any]) -> dict[str, Any]:
    return {**given, "input": given["target"], "target": given["input"]}


def _scaled(value: Any, scale: float) -> Any:
    return value if scale == 1 else value * scale


def _tensor(value: Any) -> Tensor | None:
    return value if isinstance(value, Tensor) else None
