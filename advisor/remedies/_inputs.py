"""What the model's inputs are like -> buffers of the model, for hooks that change what it reads.

The numbers come from the training data. Whether the loop gives the model just these, or scales, flattens or transforms
them first, shows in the first training step: its batch is compared with what reaches the model, and where the two
differ the numbers are taken from that. The comparison waits for no device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.hooks import Hook
from advisor.instruments._leaves import TARGETS
from advisor.remedies import Session
from advisor.remedies._training_data import Moments, along, feature_axis, is_numbers, main_input, read


def change_inputs(
    session: Session, remedy: str, names: tuple[str, ...], hook: Callable[..., Any], *,
    samples: int, whole: bool = False, prepend: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Register the buffers `names` (mean, and scale where there are two) and a forward pre-hook that uses them.

    whole:   one mean and one deviation for all features
    Returns: what to note of it.  Raises: CannotApply where the model gets no numbers.
    """
    model = session.model
    parameter = next(model.parameters(), None)
    if parameter is None or not session.optimizers:
        raise CannotApply("there is nothing to train", context=remedy)
    found: dict[str, Any] = {}

    def see(batch: Any) -> None:
        x = main_input(batch)
        if x is None or not x.numel():
            return
        if not found:
            axis = None if whole else feature_axis(x, model)
            found.update(axis=axis, dims=x.dim(), moments=Moments(axis))
        if x.dim() == found["dims"]:
            found["moments"].add(x)

    if read(session, samples, see) and not found:
        raise CannotApply("the inputs are no numbers", context=remedy, hint="token numbers are not to be changed")
    if getattr(model, names[0], None) is None:  # else the loop before this one did it
        dtype = torch.float64 if parameter.dtype == torch.float64 else torch.float32
        kept = _shaped(found["moments"], found["dims"]) if found else (torch.zeros(()), torch.ones(()))
        for name, values in zip(names, kept, strict=False):
            model.register_buffer(name, values.to(parameter.device, dtype))
        if prepend:
            model.register_forward_pre_hook(hook, with_kwargs=True, prepend=True)
        _confirm(session, names, known=bool(found), whole=whole, prepend=prepend)
        if not prepend:
            model.register_forward_pre_hook(hook, with_kwargs=True)
    return {"samples": found["moments"].rows, "from": "data set"} if found else {"samples": 0, "from": "first batch"}


def changed_input(args: Any, kwargs: Any, like: Tensor, change: Callable[[Tensor], Tensor]) -> tuple[Any, Any, bool]:
    """A forward's arguments with the first tensor of numbers changed that `like` can be applied to, if there is one."""
    given = {key: value for key, value in kwargs.items() if key not in TARGETS}
    (args, given), done = _with_first((args, given), like, change)
    return args, {**kwargs, **given}, done


def _with_first(tree: Any, like: Tensor, change: Callable[[Tensor], Tensor]) -> tuple[Any, bool]:
    """The arguments with one tensor changed, and whether there was one. Plain enough for a compiler to trace."""
    if isinstance(tree, Tensor):
        return (change(tree), True) if is_numbers(tree) and _fits(tree, like) else (tree, False)
    if type(tree) is dict:
        for key, value in tree.items():
            new, done = _with_first(value, like, change)
            if done:
                return {**tree, key: new}, True
    if type(tree) in (tuple, list):
        for index, value in enumerate(tree):
            new, done = _with_first(value, like, change)
            if done:
                return type(tree)([*tree[:index], new, *tree[index + 1 :]]), True
    return tree, False


def _fits(x: Tensor, like: Tensor) -> bool:
    """Whether the axis of `like`'s features is one of x with as many."""
    return like.dim() <= x.dim() and (not like.dim() or x.shape[x.dim() - like.dim()] == like.shape[0])


def _shaped(moments: Moments, dims: int) -> tuple[Tensor, Tensor]:
    mean, scale = moments.spread()
    return along(mean, moments.axis, dims), along(scale, moments.axis, dims)


def _confirm(session: Session, names: tuple[str, ...], *, known: bool, whole: bool, prepend: bool) -> None:
    """At the first training forward: take the numbers from its batch, unless they are known and it is the loader's.

    What it looks at is what the hook will read: it stands right before it.
    """
    model = session.model
    raw: list[Tensor] = []  # the input of the newest batch, until the first forward
    last = False

    def remember(batch: Any) -> Any:
        nonlocal last
        if handle.id in model._forward_pre_hooks:
            x = main_input(batch)
            raw[:] = [] if x is None else [x]
            if not last:  # what other remedies make of the batch is what counts; all of them are there by now
                last = True
                session.batch_changes.append(remember)
        return batch

    def first(_: nn.Module, args: Any, kwargs: Any) -> None:
        if not torch.is_grad_enabled() or session.validating():
            return
        handle.remove()
        inputs = [x for x in (main_input([*args]), main_input(dict(kwargs))) if x is not None]
        if inputs:
            with torch.no_grad():
                _settle(model, names, inputs[0], raw[0] if raw and known else None, whole=whole)
        raw.clear()

    session.on_train_batch(remember)
    handle = model.register_forward_pre_hook(Hook(first), with_kwargs=True, prepend=prepend)
    session.on_leave(handle.remove)


def _settle(model: nn.Module, names: tuple[str, ...], x: Tensor, raw: Tensor | None, *, whole: bool) -> None:
    """Keep the numbers of the training data where the model gets just these; else take those of this batch."""
    moments = Moments(None if whole else feature_axis(x, model))
    moments.add(x)
    if raw is not None and raw.shape[0] == x.shape[0] and raw.numel() == x.numel():
        same: Tensor | None = torch.isclose(x, raw.to(x).reshape(x.shape), equal_nan=True).all()
    else:
        same, raw = None, None
    for name, new in zip(names, _shaped(moments, x.dim()), strict=False):
        old: Any = getattr(model, name)
        new = new.to(old)
        if same is not None and raw is not None:
            if not _fits(x, old):  # the loop flattens images: each pixel has the numbers of its channel
                old = old.expand(raw.shape[1:]).reshape(x.shape[1:])
            new = torch.where(same, old, new)
        model.register_buffer(name, new)
