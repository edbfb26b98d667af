"""While a watched loop runs: torch's loss functions, `Tensor.backward` and `DataLoader.__iter__` tell who listens.

Installed by the first listener, restored by the last one, on every way out. In compiled regions and in
`torch.func`'s transformations the taps step aside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from time import perf_counter
from types import CodeType, FunctionType
from typing import Any, Protocol

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.nn import functional
from torch.utils.data import DataLoader

from advisor.loss_changes import ChangedLoss, LossChange

LOSSES = (
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cross_entropy",
    "ctc_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
)


class Listener(Protocol):
    """Who is told. None of these may raise.

    loss_changes: what its plan changes in calls of loss functions, most often nothing
    """

    @property
    def loss_changes(self) -> Sequence[LossChange]: ...

    def heard_loss(self, name: str, function: Callable[..., Any], args: Any, kwargs: Any, value: Any, /) -> None: ...

    close: bool  # the step under way is sampled: who listens is told before a backward pass too

    def heard_before_backward(self, root: Tensor, /) -> None: ...

    def heard_backward(self, root: Tensor, began: float, ended: float, /) -> None: ...

    def heard_batch(self, loader: DataLoader[Any], batch: Any, began: float, ended: float, /) -> Any:
        """What the loop gets in the place of `batch`."""

    def heard_exhausted(self, loader: DataLoader[Any], /) -> None: ...


HEARD = "_advisor_heard"  # among the globals of torch.nn.functional, while there are listeners
TRACED = (FakeTensor, FunctionalTensor)  # what a compiler sends through the functions that it has captured
_is_compiling = torch.compiler.is_compiling
_transformation = getattr(torch._C._functorch, "peek_interpreter_stack", lambda: None)  # no public name tells it
_listeners: list[Listener] = []
_originals: dict[str, Any] = {}


def aside() -> bool:
    """Whether what runs now has no values to look at: a compiler reads it, or `torch.func` maps or differentiates it.

    A tensor that leaves a transformation cannot be used, not even detached.
    """
    return _is_compiling() or _transformation() is not None


def listen(listener: Listener) -> None:
    """Begin to tell a listener."""
    if not _listeners:
        _install()
    _listeners.append(listener)


def leave(listener: Listener) -> None:
    """Stop telling it; with the last one torch's own functions are back."""
    if listener in _listeners:
        _listeners.remove(listener)
        if not _listeners:
            _uninstall()


def _install() -> None:
    vars(functional)[HEARD] = _heard
    for name in LOSSES:
        function = getattr(functional, name, None)
        if not isinstance(function, FunctionType) or function.__code__.co_freevars:
            continue  # a torch to come may write it otherwise: then it is not heard, and nothing breaks
        _originals[name] = _copy(function)
        function.__code__ = _code(name)
        vars(function)["__wrapped__"] = _originals[name]  # whoever looks at the signature sees its own
    _originals["backward"] = Tensor.backward
    _originals["__iter__"] = DataLoader.__iter__
    Tensor.backward = _tapped_backward(Tensor.backward)  # type: ignore[method-assign]
    DataLoader.__iter__ = _tapped_iter(DataLoader.__iter__)  # type: ignore[method-assign]


def _uninstall() -> None:
    for name in _originals.keys() & set(LOSSES):
        function = getattr(functional, name)
        function.__code__ = _originals[name].__code__
        del vars(function)["__wrapped__"]
    del vars(functional)[HEARD]
    Tensor.backward = _originals["backward"]  # type: ignore[method-assign]
    DataLoader.__iter__ = _originals["__iter__"]  # type: ignore[method-assign]
    _originals.clear()


def _heard(name: str, args: Any, kwargs: Any) -> Any:
    """What a loss function of torch's does while there are listeners."""
    original = _originals[name]
    for listener in _listeners:
        if listener.loss_changes:
            original = ChangedLoss(name, original, listener.loss_changes, _original)
    value = original(*args, **kwargs)
    if not aside() and not isinstance(value, TRACED):
        for listener in _listeners:
            listener.heard_loss(name, original, args, kwargs, value)
    return value


def _original(name: str) -> Callable[..., Any]:
    """A loss function of torch's as it is without listeners."""
    function: Callable[..., Any] = _originals.get(name) or getattr(functional, name)
    return function


def _copy(function: FunctionType) -> FunctionType:
    """The same function as another object."""
    copy = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__, copy.__annotations__ = function.__kwdefaults__, function.__annotations__
    copy.__doc__, copy.__module__, copy.__qualname__ = function.__doc__, function.__module__, function.__qualname__
    return copy


def _code(name: str) -> CodeType:
    """Code that hands a call to `_heard`, whom it finds among the globals of torch.nn.functional.

    It is the code that is exchanged and not the name, because a loop may hold the function under a name of its own.
    """

    def template(*args: Any, **kwargs: Any) -> Any:
        return _advisor_heard("name", args, kwargs)  # type: ignore[name-defined]  # noqa: F821

    code = template.__code__
    return code.replace(co_name=name, co_consts=tuple(name if c == "name" else c for c in code.co_consts))


def _tapped_backward(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def backward(self: Tensor, *args: Any, **kwargs: Any) -> None:
        if _is_compiling():
            return original(self, *args, **kwargs)
        for listener in _listeners:
            if listener.close:
                listener.heard_before_backward(self)
        began = perf_counter()
        original(self, *args, **kwargs)
        ended = perf_counter()
        for listener in _listeners:
            listener.heard_backward(self, began, ended)
        return None

    return backward


def _tapped_iter(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def iterate(self: DataLoader[Any]) -> Any:
        return _Batches(self, original(self))

    return iterate


class _Batches:
    """The loader's own iterator, timed. Everything but `next` is the iterator's."""

    def __init__(self, loader: DataLoader[Any], iterator: Any) -> None:
        self._loader = loader
        self._iterator = iterator

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        began = perf_counter()
        try:
            batch = next(self._iterator)
        except StopIteration:
            for listener in _listeners:
                listener.heard_exhausted(self._loader)
            raise
        ended = perf_counter()
        for listener in _listeners:
            batch = listener.heard_batch(self._loader, batch, began, ended)
        return batch

    def __len__(self) -> int:
        return len(self._iterator)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._iterator, name)
