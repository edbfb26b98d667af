"""A plain function and another in its place -> within a block, whoever holds the first calls the second.

It is the code of the function that is exchanged and not its name, because a loop may hold it under a name of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import count
from types import CodeType, FunctionType
from typing import Any

from advisor.errors import CannotApply

Instead = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
_numbers = count()  # so that blocks within each other do not find each other's


class Exchanged:
    """A block, to be entered as often as one likes, in which every call gives `instead(original, args, kwargs)`.

    Raises: CannotApply where the function is not written in Python, or closes over variables.
    """

    def __init__(self, function: Callable[..., Any], instead: Instead) -> None:
        inner = inspect.unwrap(function)  # below a decorator such as no_grad, which stays
        if not isinstance(inner, FunctionType) or inner.__code__.co_freevars:
            raise CannotApply(f"{getattr(function, '__name__', function)} is no plain function here", context="torch")
        self._inner, self._instead = inner, instead
        self._key = f"_advisor_{inner.__name__}_{next(_numbers)}"
        self._code = inner.__code__

    def __enter__(self) -> None:
        inner = self._inner
        self._code = inner.__code__
        original = FunctionType(self._code, inner.__globals__, inner.__name__, inner.__defaults__, inner.__closure__)
        original.__kwdefaults__ = inner.__kwdefaults__
        inner.__globals__[self._key] = lambda args, kwargs: self._instead(original, args, kwargs)
        inner.__code__ = _calling(self._key)

    def __exit__(self, *_: object) -> None:
        self._inner.__code__ = self._code
        self._inner.__globals__.pop(self._key, None)


def _calling(key: str) -> CodeType:
    """Code that hands a call to whom it finds among the function's globals."""

    def template(*args: Any, **kwargs: Any) -> Any:
        return _advisor_call(args, kwargs)  # type: ignore[name-defined]  # noqa: F821

    code = template.__code__
    return code.replace(co_names=tuple(key if name == "_advisor_call" else name for name in code.co_names))
