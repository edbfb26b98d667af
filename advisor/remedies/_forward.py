"""Changes of single calls inside a module's forward, by hooks: `F.softmax` is skipped there, `torch.sqrt` kept off 0.

A pre-hook enters a mode that torch shows every call of its functions, and a hook leaves it, also where the forward
raises. The mode counts the calls that a change wants by name and has the chosen ones computed otherwise; all others
pass. Which are chosen is known from a forward pass on an example, in train and in eval mode; without an example, from
the first forward itself, which is made once more for that, unseen. One set of hooks serves all changes of a module, so
that they count the user's calls and not each other's.

It does not reach a part that is called again in the backward pass by torch.utils.checkpoint, nor calls in C++.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from torch import nn
from torch.overrides import TorchFunctionMode

from advisor.errors import CannotApply
from advisor.fence import unwrapped
from advisor.remedies import Session
from advisor.remedies._calls import NAMES, Call, Called, Key, calls_in, calls_of, untapped

Replace = Callable[[Called], Any]


class Change(Protocol):
    """What is computed in the place of a call."""

    @property
    def names(self) -> Collection[str]:
        """Of the calls that it may change."""

    def chooses(self, calls: tuple[Call, ...]) -> Collection[Key] | None:
        """Which calls of one forward pass; None for all of its names, which need not be looked for then."""

    def replaced(self, called: Called) -> Any:
        """The value in its place; NotImplemented where it stays as it is."""


class Changed:
    """The hooks of one module, with the changes that they make.

    reached: by name of a change's class, whether a call was replaced
    """

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.reached: dict[str, bool] = {}
        self._chosen: dict[bool, list[Collection[Key] | None]] = {}
        self._local = threading.local()

    def add(self, change: Change, calls: Mapping[bool, tuple[Call, ...]]) -> None:
        """calls: of forward passes in train (True) and eval mode, as far as they are known."""
        self.changes.append(change)
        for training in (True, False):
            known = self._chosen.pop(training, [] if len(self.changes) == 1 else None)
            if known is not None and (training in calls or change.chooses(()) is None):
                self._chosen[training] = [*known, change.chooses(calls.get(training, ()))]

    def choose(self, calls: Mapping[bool, tuple[Call, ...]]) -> None:
        """Anew, for all changes."""
        self._chosen = {mode: [change.chooses(found) for change in self.changes] for mode, found in calls.items()}

    def enter(self, module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        modes = self._modes
        if modes or not self.changes:  # a forward within a forward of the same module
            modes.append(None)
            return
        if module.training not in self._chosen:
            calls = calls_in(module, args, kwargs) or ()
            self._chosen[module.training] = [change.chooses(calls) for change in self.changes]
        mode = _Inside(self, list(zip(self.changes, self._chosen[module.training], strict=True)))
        modes.append(mode)
        mode.__enter__()  # type: ignore[no-untyped-call]  # torch ships it without types

    def leave(self, *_: Any) -> None:
        modes = self._modes
        if modes:
            mode = modes.pop()
            if mode is not None:
                mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def leave_all(self) -> None:
        """After a forward that ended by Ctrl-C, where torch calls no hook."""
        while self._modes:
            self.leave()

    @property
    def inside(self) -> bool:
        """Whether a forward of the module is under way in this thread."""
        return bool(self._modes)

    @property
    def _modes(self) -> list[_Inside | None]:
        try:
            modes: list[_Inside | None] = self._local.modes
        except AttributeError:
            modes = self._local.modes = []
        return modes

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle of the model gets: the changes, and no forward that is under way."""
        return {key: value for key, value in vars(self).items() if key != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._local = threading.local()


class _Inside(TorchFunctionMode):
    """One forward pass."""

    def __init__(self, changed: Changed, changes: Sequence[tuple[Change, Collection[Key] | None]]) -> None:
        super().__init__()
        self._changed, self._changes = changed, changes
        self._names = {name for change, _ in changes for name in change.names}
        self._counts: dict[str, int] = {}

    def __torch_function__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = NAMES.get(getattr(function, "__name__", ""), "")
        if name in self._names:
            index = self._counts[name] = self._counts.get(name, -1) + 1
            for change, chosen in self._changes:
                if name in change.names and (chosen is None or (name, index) in chosen):
                    value = change.replaced(Called(name, function, args, kwargs))
                    if value is not NotImplemented:
                        if not self._changed.reached.get(type(change).__name__):
                            self._changed.reached[type(change).__name__] = True
                        return value
        return untapped(function, name)(*args, **kwargs)


class InLoop(TorchFunctionMode):
    """For `Session.in_loop`: changes calls of the loop's own code, none inside modules that are changed themselves."""

    def __init__(self, names: Collection[str], replaced: Replace, *but: Changed) -> None:
        super().__init__()
        self.reached = False
        self._names, self._replaced, self._but = frozenset(names), replaced, but

    def __torch_function__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = NAMES.get(getattr(function, "__name__", ""), "")
        if name in self._names and not any(changed.inside for changed in self._but):
            value = self._replaced(Called(name, function, args, kwargs))
            if value is not NotImplemented:
                self.reached = True
                return value
        return untapped(function, name)(*args, **kwargs)


def change_forward(
    session: Session, change: Change | None, calls: Mapping[bool, tuple[Call, ...]], module: nn.Module | None = None
) -> Changed:
    """Hook the model and have its forward changed from now on; None hooks it only.

    module: another one, such as the loss, whose forward is changed as long as the loop runs
    """
    root = unwrapped(session.model) if module is None else module
    changed = _hooked(root) or _hook(root, session, stays=module is None)
    if change is not None:
        changed.add(change, calls)
    return changed


def look_again(session: Session) -> None:
    """After a graft that has calls of its own: the model's other calls have other numbers now."""
    changed = _hooked(unwrapped(session.model))
    if changed is not None:
        changed.choose(calls_of(session))


def check_reachable(session: Session, remedy: str) -> None:
    """Raises: CannotApply where nothing is trained, or where a forward runs code that hooks do not reach."""
    if not session.optimizers:
        raise CannotApply("nothing is trained", context=remedy, hint="pass the optimizer to advisor.watch")
    root = unwrapped(session.model)
    if _is_compiled(root) or _is_compiled(session.model):
        raise CannotApply("the model is compiled", context=remedy, hint="apply it before torch.compile, or in the code")
    again = [name for name, part in root.named_modules() if getattr(part, "gradient_checkpointing", False) is True]
    if again:
        raise CannotApply(f"{again[0] or 'the model'} computes its forward again in the backward pass", context=remedy)


def _hooked(root: nn.Module) -> Changed | None:
    owners = (getattr(hook, "__self__", None) for hook in root._forward_pre_hooks.values())
    return next((owner for owner in owners if isinstance(owner, Changed)), None)


def _hook(root: nn.Module, session: Session, *, stays: bool) -> Changed:
    changed = Changed()
    handles = (
        root.register_forward_pre_hook(changed.enter, prepend=True, with_kwargs=True),
        root.register_forward_hook(changed.leave, prepend=True, always_call=True),
    )
    session.on_leave(changed.leave_all)
    if not stays:
        for handle in handles:
            session.on_leave(handle.remove)
    return changed


def _is_compiled(root: nn.Module) -> bool:
    """Whether the module or a part of it is compiled, in place or below a wrapper, which only the collector knows."""
    if any(getattr(part, "_compiled_call_impl", None) is not None for part in root.modules()):
        return True
    frames = sys.modules.get("torch._dynamo.eval_frame")
    kind = getattr(frames, "OptimizedModule", None)
    if kind is None:
        return False
    if any(isinstance(part, kind) for part in root.modules()):
        return True
    # type(): isinstance would ask a proxy for its __class__, and a dead proxy raises
    return any(issubclass(type(thing), kind) and thing._orig_mod is root for thing in gc.get_objects())
