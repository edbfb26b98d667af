"""A call of a loss function -> its mean, its task, its score; and `advisor.loss` for functions of your own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from torch import Tensor, nn

from advisor.loss_changes import ChangedLoss, is_target_first, parameter_names
from advisor.record import Task

PROBABILITIES = {"binary_cross_entropy"}  # a threshold at 0.5 instead of 0
CLASSES = {"cross_entropy", "nll_loss", "multi_margin_loss"}
BINARY = {"binary_cross_entropy", "binary_cross_entropy_with_logits", "soft_margin_loss", "multilabel_soft_margin_loss"}
NO_SCORE = {
    "poisson_nll_loss",
    "kl_div",
    "triplet_margin_loss",
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "ctc_loss",
}  # what they are given is neither a class nor the number itself
VALUES = {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "gaussian_nll_loss"}


class WatchedLoss(nn.Module):
    """A loss function as a module, so that `advisor.watch` sees its inputs and its value."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        made.add(self)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return self.function(*args, **kwargs)


made: WeakSet[WatchedLoss] = WeakSet()  # a watched loop hears all of them, so that none has to be named


def loss(function: Callable[..., Tensor]) -> WatchedLoss:
    """Make a loss function of your own visible to `advisor.watch`; call it as before.

    >>> import torch
    >>> squared = loss(lambda output, target: ((output - target) ** 2).mean())
    >>> squared(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0]))
    tensor(2.)
    """
    return WatchedLoss(function)


@dataclass(frozen=True, slots=True)
class LossCall:
    """One call of a loss function by the user's loop.

    value: scalar on its device, detached, a mean over what the loss counts
    output, target: detached, None where unknown
    again: outputs, target -> the same loss on other data, not normalised
    handed: output and target as the loop handed them over, before a plan changed them; None where none did
    target_first: the loop calls it as `loss_fn(target, output)`
    """

    name: str
    value: Tensor
    output: Tensor | None
    target: Tensor | None
    again: Callable[[Any, Any], Any]
    handed: tuple[Tensor | None, Tensor | None] | None = None
    target_first: bool = False

    @property
    def handed_output(self) -> Tensor | None:
        return self.output if self.handed is None else self.handed[0]

    @property
    def handed_target(self) -> Tensor | None:
        return self.target if self.handed is None else self.handed[1]

    @property
    def size(self) -> int:
        """Samples in the batch: what weighs this value in the mean of an epoch."""
        for tensor in (self.target, self.output):
            if tensor is not None and tensor.dim():
                return int(tensor.shape[0])
        return 1


@dataclass(frozen=True, slots=True)
class HeardLoss:
    """A loss function that has just run in training, the graph of its value still there. Never keep one.

    output: what the model gave, target: what it is compared with, as they were handed over (not detached)
    given:  further arguments by name, and the module's settings: reduction, ignore_index, weight …
    inside: it ran within the user's own `loss_fn`
    target_first: it was called as `loss_fn(target, output)`
    """

    name: str
    output: Tensor | None
    target: Tensor | None
    given: Mapping[str, Any]
    value: Tensor
    inside: bool
    target_first: bool = False


def heard_loss(
    name: str, function: Callable[..., Any], args: Any, kwargs: Any, value: Tensor, *, inside: bool
) -> HeardLoss:
    """A call with its arguments by name."""
    if isinstance(function, ChangedLoss):
        call = function.changed(args, kwargs)
        turned = function.gets_target_first(call)
        return HeardLoss(call.name, call.output, call.target, call.given, value, inside, turned)
    given: dict[str, Any] = {}
    if isinstance(function, nn.Module):
        given = {key: v for key, v in vars(function).items() if not key.startswith("_") and key != "training"}
    names = parameter_names(function)
    given |= {**dict(zip(names, args, strict=False)), **kwargs} if names else kwargs
    output, target = (one if isinstance(one, Tensor) else None for one in _two(args, kwargs))
    turned = is_target_first(output, target)
    if turned:
        output, target = target, output
    return HeardLoss(name, output, target, given, value, inside, turned)


def loss_call(
    name: str, function: Callable[..., Any], args: Any, kwargs: Any, value: Any, *, target_first: str | None = None
) -> LossCall | None:
    """Normalise a call; None where its value is no tensor.

    target_first: the loss function that the training loop was seen to call as `loss_fn(target, output)`. A distance is
    the same either way round, a score is not; where there are gradients they tell, and in validation there are none.
    """
    if not isinstance(value, Tensor):
        return None
    handed, named = None, kwargs
    output, target = _two(args, kwargs)
    if isinstance(function, ChangedLoss):
        call = function.changed(args, kwargs)
        handed = _detached(output), _detached(target)
        name, output, target, named, turned = call.name, call.output, call.target, call.given, call.target_first
    else:
        turned = is_target_first(output, target) or (target_first == name and not value.requires_grad)
        if turned:
            output, target = target, output
    if turned:
        handed = handed and (handed[1], handed[0])
    tensors = isinstance(output, Tensor), isinstance(target, Tensor)
    reduction = named.get("reduction") or getattr(function, "reduction", None)
    rest = {key: v for key, v in kwargs.items() if key not in ("input", "target")}
    again = ComputedAgain(function, args[2:], rest, reduction, target_first=turned)
    if tensors[0] and any(_of_the_batch(value, output) for value in (*args[2:], *rest.values())):
        again.forget()
    return LossCall(
        name,
        mean_of(value, target if tensors[1] else None, output if tensors[0] else None, reduction),
        output.detach() if tensors[0] else None,
        target.detach() if tensors[1] else None,
        again,
        handed,
        turned,
    )


class ComputedAgain:
    """A loss function with a call's further arguments, for other outputs and targets.

    An object and no closure that knows itself: that would keep the arguments, and their graphs, until the next
    collection of garbage.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: Any,
        kwargs: Mapping[str, Any],
        reduction: Any,
        *,
        target_first: bool = False,
    ) -> None:
        self.reduction, self._target_first = reduction, target_first
        self.known = True  # False where further arguments belong to this batch, such as a mask
        self._function, self._args, self._kwargs = function, args, kwargs

    def forget(self) -> None:
        """Give up arguments that belong to one batch: they are of no use with another, and may hold its graph."""
        self.known, self._args, self._kwargs = False, (), {}

    def __call__(self, outputs: Any, targets: Any) -> Any:
        if not self.known:
            return None
        two = (targets, outputs) if self._target_first else (outputs, targets)
        if isinstance(self._function, ChangedLoss):  # a plan may change the reduction in training only
            self.reduction = self._function.changed((*two, *self._args), self._kwargs).given.get("reduction")
        return self._function(*two, *self._args, **self._kwargs)


def _two(args: Any, kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
    """The first two arguments, as they were handed over."""
    return args[0] if args else kwargs.get("input"), args[1] if len(args) > 1 else kwargs.get("target")


def _of_the_batch(value: Any, output: Tensor) -> bool:
    """Whether an argument has a row for each sample. A vector as long as there are classes holds their weights.

    Weights are fractions; several whole numbers are lengths or indices.
    """
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(one, int) for one in value)
    if not isinstance(value, Tensor) or not value.dim() or not output.dim():
        return False
    if not value.is_floating_point():
        return True
    return len(value) == len(output) and tuple(value.shape) != tuple(output.shape[1:2])


def _detached(value: Any) -> Tensor | None:
    return value.detach() if isinstance(value, Tensor) else None


def mean_of(value: Tensor, target: Tensor | None, output: Tensor | None, reduction: str | None) -> Tensor:
    """The loss as a mean, whatever its reduction was."""
    value = value.detach()
    if value.dim():
        return value.float().mean()
    counted = target if target is not None else output
    if reduction == "sum" and counted is not None and counted.numel():
        return value / counted.numel()
    return value


def task_of(name: str, output: Tensor | None, target: Tensor | None) -> Task | None:
    """What kind of problem a loss call belongs to; None where it cannot be told."""
    if output is None or target is None or name in NO_SCORE:
        return None
    if name in CLASSES:
        return "multiclass"
    if name in BINARY:
        return "binary"
    integer = not (target.is_floating_point() or target.is_complex())
    if integer and output.dim() == target.dim() + 1 and output.shape[1] > 1:
        return "multiclass"
    if name in VALUES or (not integer and output.is_floating_point() and output.numel() == target.numel()):
        return "regression"
    return None
