"""A trial's seed -> every seed that the script sets, shifted by the same amount; seed 0 shifts by nothing.

"Seed 1" then means another initialisation and another shuffle even in a script that calls `torch.manual_seed(0)`, and
two trials with one seed still agree with each other. What follows:

- Shifted: `torch.manual_seed`, `torch.cuda.manual_seed(_all)`, `torch.Generator`, `numpy.random.seed`, `RandomState`
  and `default_rng` with an int, `random.seed` and `random.Random` with an int.
- A script that sets no seed gets one: the global generators are seeded from the trial's seed before its first line.
  `numpy.random.default_rng()` and `RandomState()` without a seed follow from the trial's seed too.
- Left as they are, on purpose: `random_state=0` and the like of scikit-learn, scipy and pandas. They split and sample
  data; a run is compared with runs on the same data. A generator that an installed package builds for itself is
  therefore not shifted, while the global generators are shifted whoever seeds them (`seed_everything`, `set_seed`).
- Not reached: bit generators built by hand (`numpy.random.PCG64(0)`), seeds that are no int, and saved random states.
"""

from __future__ import annotations

import functools
import operator
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
import torch

from advisor.replacing import packages, replaced

GOLDEN = 2654435761  # 2³² divided by the golden ratio, odd: Knuth's multiplicative hash, whose multiples keep apart
SHIFTS = 2**31  # a shift and a small seed still fit into the 32 bits that numpy takes
NUMPY_SEEDS = 2**32
TORCH_SEEDS = 2**64

_nested = threading.local()


def shift_of(seed: int) -> int:
    """What a trial's seed adds to the script's own: far from any other seed's shift, so that 0 + 1 is not 1 + 0.

    >>> shift_of(0), shift_of(1), shift_of(2)
    (0, 506952113, 1013904226)
    """
    return seed * GOLDEN % SHIFTS


@contextmanager
def shift_seeds(shift: int) -> Iterator[None]:
    """Seed the global generators, and shift every seed that is set inside."""
    start = shift % SHIFTS
    torch.manual_seed(start)
    np.random.seed(start)
    random.seed(start)
    with replaced(_replacements(shift)):
        yield


def _replacements(shift: int) -> Iterator[tuple[Any, str, Any]]:
    """(module, name, what stands there while seeds are shifted)."""
    for_torch = functools.partial(_shifted, shift, TORCH_SEEDS)
    for_numpy = functools.partial(_shifted, shift, NUMPY_SEEDS)
    unseeded = random.Random(shift)  # for generators that would ask the system for entropy

    manual_seed = _first_argument(torch.manual_seed, for_torch)
    yield torch, "manual_seed", manual_seed
    yield torch.random, "manual_seed", manual_seed
    yield torch.cuda, "manual_seed", _first_argument(torch.cuda.manual_seed, for_torch)
    yield torch.cuda, "manual_seed_all", _first_argument(torch.cuda.manual_seed_all, for_torch)
    yield torch, "Generator", _torch_generator(shift, for_torch)
    yield np.random, "seed", _first_argument(np.random.seed, for_numpy)
    yield np.random, "RandomState", _random_state(for_numpy, unseeded)
    yield np.random, "default_rng", _default_rng(for_numpy, unseeded)
    yield random, "seed", _first_argument(random.seed, functools.partial(_shifted, shift, None))
    yield random, "Random", _python_random(functools.partial(_shifted, shift, None))


def _shifted(shift: int, modulus: int | None, seed: Any) -> Any:
    """The seed to use for one that was asked for; what is no int stays as it is."""
    if shift == 0 or isinstance(seed, bool):
        return seed
    try:
        number = operator.index(seed)
    except TypeError:
        return seed
    return number + shift if modulus is None else (number + shift) % modulus


def _first_argument(function: Callable[..., Any], shifted: Callable[[Any], Any]) -> Callable[..., Any]:
    """The function with its seed shifted; not again where one seeding function calls another."""

    @functools.wraps(function)
    def seeding(*args: Any, **named: Any) -> Any:
        if getattr(_nested, "inside", False):
            return function(*args, **named)
        _nested.inside = True
        try:
            if args:
                return function(shifted(args[0]), *args[1:], **named)
            return function(**{key: shifted(value) if key in ("seed", "a") else value for key, value in named.items()})
        finally:
            _nested.inside = False

    return seeding


def _stands_for(original: type) -> type:
    """A metaclass by which instances of the original count as instances of its replacement."""

    class StandsFor(type(original)):  # type: ignore[misc]  # the metaclass is known only here
        def __instancecheck__(cls, instance: object) -> bool:
            is_replacement = cls.__bases__ == (original,)  # and no class that the user derived from it
            return isinstance(instance, original) if is_replacement else bool(super().__instancecheck__(instance))

    return StandsFor


def _like(original: type, **members: Any) -> Any:
    """A subclass that goes by the original's name, so that pickles and messages do too."""
    named = {"__doc__": original.__doc__, "__module__": original.__module__, "__qualname__": original.__qualname__}
    return _stands_for(original)(original.__name__, (original,), {**named, **members})


def _torch_generator(shift: int, shifted: Callable[[Any], Any]) -> Any:
    original = torch.Generator

    def __init__(self: torch.Generator, *_: Any, **__: Any) -> None:  # noqa: N807  a member of the class below
        if shift:
            original.manual_seed(self, (self.initial_seed() + shift) % TORCH_SEEDS)

    def manual_seed(self: torch.Generator, seed: int) -> torch.Generator:
        original.manual_seed(self, shifted(seed))
        return self

    return _like(original, __init__=__init__, manual_seed=manual_seed)


def _random_state(shifted: Callable[[Any], Any], unseeded: random.Random) -> Any:
    original = np.random.RandomState

    def __init__(self: np.random.RandomState, seed: Any = None) -> None:  # noqa: N807  a member of the class below
        fresh = unseeded.getrandbits(31) if seed is None else seed  # any number below NUMPY_SEEDS would do
        original.__init__(self, fresh if seed is None or _asked_by_a_package() else shifted(seed))

    def seed(self: np.random.RandomState, seed: Any = None) -> None:
        original.seed(self, seed if _asked_by_a_package() else shifted(seed))

    return _like(original, __init__=__init__, seed=seed)


def _default_rng(shifted: Callable[[Any], Any], unseeded: random.Random) -> Callable[..., np.random.Generator]:
    original = np.random.default_rng

    @functools.wraps(original)
    def default_rng(seed: Any = None) -> np.random.Generator:
        if seed is None:
            return original(unseeded.getrandbits(31))
        return original(seed if _asked_by_a_package() else shifted(seed))

    return default_rng


def _python_random(shifted: Callable[[Any], Any]) -> Any:
    original = random.Random

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        original.seed(self, a if _asked_by_a_package() else shifted(a), version)

    return _like(original, seed=seed)


def _asked_by_a_package() -> bool:
    """Whether the first caller outside of this file and of `random` is an installed package or Python's own library."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") in (__name__, "random"):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(packages())
