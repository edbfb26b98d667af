"""A data set's own transforms -> the same without what is random in them.

A transform is found where data sets keep it (`transform`, `transforms`), given what the data set gives it, and called
several times on the same samples: what differs from call to call is random. A `Compose` is taken apart; any other
random transform can be left out where its result is like what it was given: type, shape and dtype. Where each stood
is said, so that a patch can take it out of the source.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.fence import untouched

EXAMPLES = 4  # samples that are looked at
TRIES = 8  # calls each: a flip of one in two is missed with a chance of 2⁻²⁸, of one in twenty with 0.24
PREFIX = "Random"  # torchvision's transforms that are so rare are called so

Transform = Callable[..., Any]
Given = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a transform is kept."""

    owner: Any
    attribute: str

    @property
    def transform(self) -> Transform:
        found: Transform = getattr(self.owner, self.attribute)
        return found

    def put(self, transform: Transform) -> None:
        setattr(self.owner, self.attribute, transform)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something random that a transform is without now.

    name:    its class, or the function's name
    at:      its places in the lists that it stood in, the outermost first; () for the transform itself
    among:   how many stood in the innermost of these lists; 0 without one
    instead: what cuts or resizes in its place, as a call; "" for nothing
    """

    name: str
    at: tuple[int, ...] = ()
    among: int = 0
    instead: str = ""


def places(data: Any) -> Iterator[Place]:
    """The transforms of a data set and of those that it is made of."""
    for attribute in ("transform", "transforms"):
        found = getattr(data, attribute, None)
        if attribute == "transforms" and callable(getattr(found, "transform", None)):
            yield Place(found, "transform")  # torchvision's pair of a transform for inputs and one for targets
        elif callable(found):
            yield Place(data, attribute)
    for part in (getattr(data, "dataset", None), *(getattr(data, "datasets", None) or ())):
        if part is not None:
            yield from places(part)


def examples(data: Any, place: Place) -> list[Given]:
    """What the data set gives a transform; [] where it does not call it. No random number of the user's is drawn."""
    seen: list[Given] = []
    original = place.transform

    def spy(*args: Any) -> Any:
        seen.append(copy.deepcopy(args))
        return original(*args)

    count = len(data)
    place.put(spy)
    try:
        with untouched():
            for index in range(min(EXAMPLES, count)):
                data[index * count // min(EXAMPLES, count)]
    finally:
        place.put(original)
    return seen


def without_chance(transform: Transform, given: Sequence[Given]) -> tuple[Transform, list[LeftOut]]:
    """A transform without what is random in it, and what was left out; itself where nothing is.

    Raises: CannotApply where something random changes what kind of thing it is given.
    """
    with untouched():
        return _without_chance(transform, given)


class Identity:
    """Gives what it is given."""

    def __call__(self, *args: Any) -> Any:
        return args if len(args) > 1 else args[0]


def _without_chance(
    transform: Transform, given: Sequence[Given], at: tuple[int, ...] = (), among: int = 0
) -> tuple[Transform, list[LeftOut]]:
    parts = _parts(transform)
    if parts is None:
        if not _is_random(transform, given):
            return transform, []
        plain = _instead(transform, given)
        name, size = getattr(transform, "__name__", type(transform).__name__), getattr(plain, "size", None)
        instead = "" if size is None else f"{type(plain).__name__}({tuple(size)})"
        return plain, [LeftOut(name, at, among, instead)]
    kept: list[Transform] = []
    left_out: list[LeftOut] = []
    for place, part in enumerate(parts):
        plain, more = _without_chance(part, given, (*at, place), len(parts))
        left_out += more
        if not isinstance(plain, Identity):
            kept.append(plain)
        given = [_as_given(plain(*copy.deepcopy(args)), args) for args in given]
    if not left_out:
        return transform, []
    return (_rebuilt(transform, kept) if kept else Identity()), left_out  # a Compose of nothing cannot be called


def _parts(transform: Transform) -> list[Transform] | None:
    """What a transform calls one after the other; None where it is no such list."""
    if isinstance(transform, nn.Sequential):
        return list(transform)
    found = getattr(transform, "transforms", None)
    return list(found) if type(transform).__name__ == "Compose" and isinstance(found, list | tuple) else None


def _rebuilt(transform: Transform, parts: list[Transform]) -> Transform:
    if isinstance(transform, nn.Sequential):
        return nn.Sequential(*[part for part in parts if isinstance(part, nn.Module)])  # they were its own
    new: Any = copy.copy(transform)
    new.transforms = parts
    return new  # type: ignore[no-any-return]  # as callable as the original


def _is_random(transform: Transform, given: Sequence[Given]) -> bool:
    if type(transform).__name__.startswith(PREFIX):
        return True
    for args in given:
        first = transform(*copy.deepcopy(args))
        if any(not _same(first, transform(*copy.deepcopy(args))) for _ in range(TRIES - 1)):
            return True
    return False


def _instead(transform: Transform, given: Sequence[Given]) -> Transform:
    """What does nothing, or what only cuts or resizes to the same size. Raises: CannotApply."""
    if all(_alike(args, _as_given(transform(*copy.deepcopy(args)), args)) for args in given):
        return Identity()
    name, size = type(transform).__name__, getattr(transform, "size", None)
    if size is not None and type(transform).__module__.startswith("torchvision."):
        from torchvision.transforms import v2

        return v2.CenterCrop(size) if name == "RandomCrop" else v2.Resize(size)  # type: ignore[no-any-return]
    raise CannotApply(
        f"{getattr(transform, '__name__', name)} is random and changes what kind of thing a sample is",
        context="transform of the data set",
        hint="give the data set a transform without it",
    )


def _as_given(result: Any, args: Given) -> Given:
    """A result as the arguments of what comes next."""
    return result if len(args) > 1 and isinstance(result, tuple) else (result,)


def _alike(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(_alike, one, other))
    described = ("shape", "dtype", "size", "mode")  # of tensors and arrays, and of images of Pillow
    of_both = [(getattr(one, name, None), getattr(other, name, None)) for name in described]
    return all(callable(a) or a == b for a, b in of_both)


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, Tensor):
        return one.shape == other.shape and bool(torch.isclose(one, other, rtol=0, atol=0, equal_nan=True).all())
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    return bool(one.tobytes() == other.tobytes()) if hasattr(one, "tobytes") else bool(one == other)
