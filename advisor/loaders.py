"""Whoever calls `advisor.watch` -> the loaders that it holds, for a plan that must change one before the first batch.

A loop that names no loader shows its own only as it runs, which is too late for a remedy that draws other samples. The
variables of the calling frames, and the attributes of the objects in them, are searched: by name, then by whether the
loader shuffles. Where that leaves a doubt nothing is said.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from torch.utils.data import DataLoader, SequentialSampler

Loader = DataLoader[Any]
ALONE = r"(?=$|_|\d|loader|iter|data|set|dl)"  # a short word begins others: "text", "device", "values", "transformed"
TRAINS = re.compile(rf"(^|_)(train|(tr|trn){ALONE})", re.IGNORECASE)
VALIDATES = re.compile(rf"(^|_)(valid|test|eval|holdout|(val|va|dev|te){ALONE})", re.IGNORECASE)
PACKAGE = str(Path(__file__).parent) + os.sep


def loaders_near() -> tuple[Loader | None, Loader | None]:
    """(training, validation) loader of the nearest frame outside of this package that holds any."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            held = _held(frame)
            if held:
                return choose(held)
        frame = frame.f_back
    return None, None


def choose(held: dict[str, Loader]) -> tuple[Loader | None, Loader | None]:
    """Which of the loaders trains and which validates; None where it is not clear.

    held: by the name of the variable or attribute
    """
    named = {name: bool(TRAINS.search(name)) - bool(VALIDATES.search(name)) for name in held}
    training = _one(held[name] for name, side in named.items() if side > 0)
    validating = _one(held[name] for name, side in named.items() if side < 0)
    rest = [loader for name, loader in held.items() if not named[name]]
    if training is None and not any(side > 0 for side in named.values()):
        training = _one(rest)
        if training is None:  # by identity: the truth of a loader is its length, which a stream does not have
            training = _one(loader for loader in rest if not _in_order(loader))
    if validating is None and not any(side < 0 for side in named.values()):
        validating = _one(loader for loader in rest if _in_order(loader) and loader is not training)
    return training, validating


def _held(frame: FrameType) -> dict[str, Loader]:
    """Loaders among the variables that a frame sees, and one level below them."""
    found: dict[str, Loader] = {}
    for name, value in {**frame.f_globals, **frame.f_locals}.items():
        if isinstance(value, DataLoader):
            found[name] = value
        elif isinstance(value, dict):
            found |= {str(key): one for key, one in list(value.items()) if isinstance(one, DataLoader)}
        elif not isinstance(value, type | ModuleType) and not name.startswith("__"):
            found |= _attributes(value)
    return found


def _attributes(thing: object) -> dict[str, Loader]:
    try:
        inner = vars(thing)
    except TypeError:
        return {}
    return {name: value for name, value in list(inner.items()) if isinstance(value, DataLoader)}


def _in_order(loader: Loader) -> bool:
    return isinstance(loader.sampler, SequentialSampler)


def _one(loaders: Iterator[Loader] | list[Loader]) -> Loader | None:
    """The only one there is, whatever it is called."""
    different = list({id(loader): loader for loader in loaders}.values())
    return different[0] if len(different) == 1 else None
