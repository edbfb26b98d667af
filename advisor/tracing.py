"""A training, run under `traced` -> where its script made the optimizer, the loaders, the layers, the loss and the
transforms of its data sets, and where it calls backward and step: file, line and column, from the frames of the run.

Only a run that is made for a patch is traced (`Job.traced`); to any other run this file does nothing. Objects and
frames are looked at, nothing is called that the script does not call, and no random number is drawn.
"""

from __future__ import annotations

import gc
import os
import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from functools import partial, wraps
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils.data import DataLoader, Dataset

from advisor.call_sites import FACT, CallSites, Made, Site
from advisor.record import Json
from advisor.remedies import Session
from advisor.remedies._transforms import Place, places
from advisor.replacing import packages, replaced

OURS = str(Path(__file__).parent) + os.sep
# our own frames between the user's and torch's; any other means that we act and not the script
PASSING = {str(Path(__file__).with_name(f"{name}.py")) for name in ("tracing", "taps", "watching")}

Chain = tuple[Site, ...]


class _Trace:
    """What was seen so far of the run of one script."""

    def __init__(self, script: str) -> None:
        self.script = script
        self.made: dict[int, tuple[weakref.ref[Any], str, Site]] = {}
        self.objects: Counter[Site] = Counter()
        self.calls: dict[str, dict[Chain, None]] = {}  # in the order of the first call
        self.loops: dict[int, dict[Chain, None]] = {}  # by the loader
        self._sites: dict[tuple[CodeType, int], Site] = {}

    def note(self, thing: Any) -> None:
        """An object has been made."""
        chain, known = self._chain(), self.made.get(id(thing))
        if chain and (known is None or known[0]() is not thing):  # a number of one that is gone is given anew
            self.made[id(thing)] = (weakref.ref(thing), type(thing).__name__, chain[0])
            self.objects[chain[0]] += 1

    def stands_for(self, new: Any, old: Any) -> None:
        reference, *made = self.made.get(id(old), (lambda: None, "", None))
        if reference() is old:
            self.made[id(new)] = (weakref.ref(new), *made)

    def called(self, what: str, *, told: bool = False) -> None:
        chain = self._chain(told=told)
        if chain:
            self.calls.setdefault(what, {})[chain] = None

    def looped(self, loader: Any) -> None:
        chain = self._chain()
        if chain:
            self.loops.setdefault(id(loader), {})[chain] = None

    def of(self, thing: Any) -> Made | None:
        """Where an object was made."""
        reference, kind, site = self.made.get(id(thing), (None, "", None))
        if reference is None or site is None or reference() is not thing:
            return None
        units = getattr(thing, "out_features", getattr(thing, "out_channels", None))
        return Made(kind=kind, site=site, objects=self.objects[site], units=units if isinstance(units, int) else None)

    def last(self, what: str) -> Site | None:
        chains = list(self.calls.get(what, ()))
        return chains[-1][0] if chains else None

    def _chain(self, *, told: bool = False) -> Chain:
        """The user's frames, innermost first; () where advisor itself acts, and does not tell of a call of theirs."""
        frame: FrameType | None = sys._getframe(2)
        found: list[Site] = []
        while frame is not None and frame.f_globals.get("__name__") != "runpy":  # which runs the script
            file = frame.f_code.co_filename
            if file.startswith(OURS):
                if not found and not told and file not in PASSING:
                    return ()
            elif not file.startswith(("<", *packages())):
                found.append(self._site(frame))
            frame = frame.f_back
        return tuple(found)

    def _site(self, frame: FrameType) -> Site:
        key = frame.f_code, frame.f_lasti
        if key not in self._sites:
            positions = list(frame.f_code.co_positions())[frame.f_lasti // 2]  # one for each instruction of two bytes
            line, end_line, column, end_column = (value or 0 for value in positions)
            self._sites[key] = Site(
                file=frame.f_code.co_filename,
                line=line,
                column=column,
                end_line=end_line,
                end_column=end_column,
            )
        return self._sites[key]


_trace: _Trace | None = None


@contextmanager
def traced(script: Path) -> Iterator[None]:
    """Note what is made and called while it lasts."""
    global _trace
    trace = _trace = _Trace(str(script))
    hook = register_optimizer_step_pre_hook(lambda *_: trace.called("step"))
    try:
        with replaced(_replacements(trace)):
            yield
    finally:
        hook.remove()
        _trace = None


def called(what: str) -> None:
    """Whom the script calls tells of it, `watch` or a remedy; nothing happens in a run that is not traced."""
    if _trace is not None:
        _trace.called(what, told=True)


def stands_for(new: Any, old: Any) -> None:
    """A remedy tells that an object of its own is in the place of the user's: it counts as made where that one was."""
    if _trace is not None:
        _trace.stands_for(new, old)


def call_sites(session: Session) -> dict[str, Json]:
    """The fact for the record; {} in a run that is not traced."""
    trace = _trace
    if trace is None:
        return {}
    made = ((name, trace.of(module)) for name, module in session.model.named_modules())
    loops = {"train": session.train, "val": session.val}
    calls = {what: tuple(chains) for what, chains in trace.calls.items() if what not in ("watch", "loop")}
    calls |= {what: tuple(trace.loops.get(id(loader), ())) for what, loader in loops.items() if loader is not None}
    found = CallSites(
        script=trace.script,
        watch=trace.last("watch"),
        loop=trace.last("loop"),
        optimizers=tuple(map(trace.of, session.optimizers)),
        train=trace.of(session.train),
        val=trace.of(session.val),
        loss_fn=trace.of(session.loss_fn),
        layers={name: where for name, where in made if where is not None},
        calls=calls,
        transforms=_transforms(trace, session),
    )
    return {FACT: found.model_dump(mode="json")}


def _transforms(trace: _Trace, session: Session) -> dict[str, tuple[Made | None, ...]]:
    loaders = {"train": session.train, "val": session.val}
    found = {which: _places(loader.dataset) for which, loader in loaders.items() if loader is not None}
    seen = {id(place.owner) for here in found.values() for place in here}
    # type(): isinstance would ask a proxy for its __class__, and a dead proxy raises
    living = [thing for thing in gc.get_objects() if issubclass(type(thing), Dataset)]
    others = [place for data in living for place in _places(data) if id(place.owner) not in seen]
    made = {which: tuple(trace.of(place.transform) for place in here) for which, here in found.items()}
    return {**made, "other": tuple(here for place in others if (here := trace.of(place.transform)) is not None)}


def _places(data: Any) -> list[Place]:
    found: list[Place] = []
    with suppress(Exception):  # a property of the user's own may raise anything: what is not known is not edited
        found.extend(places(data))
    return found


def _replacements(trace: _Trace) -> Iterator[tuple[Any, str, Any]]:
    """(class or module, name, what stands there while the run is traced)."""
    for kind in (nn.Module, Optimizer, DataLoader):
        yield kind, "__init__", _telling(kind.__init__, trace.note)
    loaded = sys.modules.get("torchvision.transforms.transforms")  # never imported for this
    for kind in vars(loaded).values() if loaded is not None else ():
        if isinstance(kind, type) and "__init__" in vars(kind) and not issubclass(kind, nn.Module | Enum):
            yield kind, "__init__", _telling(kind.__init__, trace.note)  # ToTensor, Compose: no modules, as v2's are
    yield DataLoader, "__iter__", _telling(DataLoader.__iter__, trace.looped)
    yield Tensor, "backward", _telling(Tensor.backward, lambda _: trace.called("backward"))
    for name in ("clip_grad_norm_", "clip_grad_value_"):
        yield nn.utils, name, _telling(getattr(nn.utils, name), partial(_called, trace, name))


def _called(trace: _Trace, what: str, _: Any) -> None:
    trace.called(what)


def _telling(original: Callable[..., Any], tell: Callable[[Any], None]) -> Callable[..., Any]:
    """The same function, which tells of its first argument when it is called."""

    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        tell(args[0] if args else None)
        return original(*args, **kwargs)

    return call
