"""Functions that the user's modules imported by name: bound to others while a loop runs, and back.

`from torch.nn.functional import cross_entropy` keeps torch's own function whatever is put into its place in torch. Only
modules of the user's are looked at: not the standard library, not what is installed.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

Function = Callable[..., Any]


class Rebinding:
    """replacements: original -> what stands for it until `undo`."""

    def __init__(self, replacements: Mapping[Function, Function]) -> None:
        self._bound: list[tuple[dict[str, Any], str, Function, Function]] = []
        by_id = {id(original): (original, other) for original, other in replacements.items()}
        for module in _of_the_user():
            names = vars(module)
            for name, value in list(names.items()):
                if id(value) in by_id:
                    original, other = by_id[id(value)]
                    names[name] = other
                    self._bound.append((names, name, original, other))

    def undo(self) -> None:
        """Every name that still stands for what we put there gets its own function back."""
        for names, name, original, other in self._bound:
            if names.get(name) is other:
                names[name] = original
        self._bound.clear()


def _of_the_user() -> Iterator[ModuleType]:
    installed = tuple({sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")})
    own = str(Path(__file__).resolve().parent)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        seen = isinstance(module, ModuleType) and (module.__name__ == "__main__" or isinstance(file, str))
        if seen and not str(file).startswith((*installed, own)):
            yield module
