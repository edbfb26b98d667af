"""Functions and classes -> others in their place for a while: in their module, and in modules of the user's."""

from __future__ import annotations

import functools
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

OURS = str(Path(__file__).parent)


@contextmanager
def replaced(replacements: Iterable[tuple[Any, str, Any]]) -> Iterator[None]:
    """Put each (owner, name, replacement) in place; put everything back on every way out.

    A module of the user's that did `from os import remove` before has the replacement under its name too.
    """
    before: list[tuple[Any, str, Any]] = []
    instead: dict[int, Any] = {}

    def put(owner: Any, name: str, value: Any) -> None:
        before.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    try:
        for owner, name, value in replacements:
            original = getattr(owner, name)
            if callable(original):  # a flag of a module is no object that others could hold
                instead[id(original)] = value
            put(owner, name, value)
        for module in _of_the_user():
            for name, value in list(vars(module).items()):
                if id(value) in instead:
                    put(module, name, instead[id(value)])
        yield
    finally:
        for owner, name, value in reversed(before):
            setattr(owner, name, value)


@functools.cache
def packages() -> tuple[str, ...]:
    """Folders of Python's own library and of what is installed: code below them is not the user's."""
    paths = sysconfig.get_paths()
    return tuple({paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")})


def _of_the_user() -> list[ModuleType]:
    """Loaded modules that are neither ours nor installed."""
    found = [module for module in list(sys.modules.values()) if isinstance(module, ModuleType)]
    foreign = (*packages(), OURS)
    return [m for m in found if (file := vars(m).get("__file__") or "") and not file.startswith(foreign)]
