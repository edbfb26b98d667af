"""Plan -> changes to live objects, in place, before the first epoch. One file a remedy, found by being here.

What a remedy's module defines:

    docstring                              its page, with the headings `HEADINGS`
    Parameters                             frozen pydantic model (`extra="forbid"`), every field with a default
    CHANGES                                what it touches: "learning_rate", "layers" …; a plan changes no part twice
                                           but those of `SHARED`
    LASTS                                  optional: "model" or "optimizer", where the change outlasts the loop: a
                                           second loop over the same one has it already
    candidates(diagnosis, evidence)        parameterised choices worth trying, most promising first
    apply(session, parameters)             change the live objects; CannotApply where there is nothing to change
    took_effect(record, parameters)        whether the record of the run shows the change
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import re
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from advisor.errors import PlanError
from advisor.loss_changes import LossChange, Sides, hook_loss_fn, own_module
from advisor.plan import Plan, Step
from advisor.record import Json, Record, Task

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.utils.data import DataLoader

    from advisor.diagnosis import Diagnosis
    from advisor.evidence import Evidence

HEADINGS = ("What it does", "When it helps", "When it hurts", "Cost", "References")
# what several remedies of one plan may change side by side; any other part is changed once
SHARED = frozenset({"layers", "inputs", "loss_arguments"})


class Parameters(BaseModel):
    """What every remedy's parameters have in common: frozen, and no unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Epoch(Protocol):
    """What a remedy sees at the end of an epoch."""

    number: int
    score: float | None  # the run's metric, higher is better; None where it was not measured

    def stop(self) -> None:
        """End the loop after this epoch."""


@dataclass
class EpochEnd:
    """The end of an epoch, as `watch` hands it over (`Epoch`)."""

    number: int
    score: float | None
    stopped: bool = False

    def stop(self) -> None:
        self.stopped = True


@dataclass
class Session:
    """The live objects of a run that is about to begin, and the points at which a remedy may act later.

    model, optimizers, schedulers, loss_fn: the user's own, never replaced
    train, val: the loaders, where the user gave them or the loop showed them
    epochs: planned length of the loop; None for an endless one
    skipped_steps: optimizers, by id, whose step under way a remedy holds back: it is not counted
    """

    model: nn.Module
    optimizers: list[Optimizer]
    schedulers: list[Any]
    loss_fn: Callable[..., Any] | None = None
    train: DataLoader[Any] | None = None
    val: DataLoader[Any] | None = None
    epochs: int | None = None
    step_based: bool = False
    task: Task | None = None
    batch_changes: list[Callable[[Any], Any]] = field(default_factory=list)
    step_actions: list[Callable[[int], None]] = field(default_factory=list)
    epoch_actions: list[Callable[[Epoch], None]] = field(default_factory=list)
    finish_actions: list[Callable[[], None]] = field(default_factory=list)
    leave_actions: list[Callable[[], None]] = field(default_factory=list)
    loss_changes: list[LossChange] = field(default_factory=list)
    skipped_steps: set[int] = field(default_factory=set)
    loop_contexts: list[AbstractContextManager[Any]] = field(default_factory=list)
    facts: dict[str, Json] = field(default_factory=dict)
    decides_by_score: bool = False
    _validating: Callable[[], bool] | None = None
    _example: Callable[[], tuple[Any, Tensor | None] | None] | None = None

    def on_train_batch(self, change: Callable[[Any], Any]) -> None:
        """Pass every training batch, as its loader gives it, through `change`."""
        self.batch_changes.append(change)

    def on_step(self, action: Callable[[int], None]) -> None:
        """Call `action(step)` after every optimizer step; the first step is 1."""
        self.step_actions.append(action)

    def on_epoch(self, action: Callable[[Epoch], None], *, by_score: bool = False) -> None:
        """Call `action(epoch)` at the end of every epoch, after its validation; `by_score`: it decides by the score."""
        self.epoch_actions.append(action)
        self.decides_by_score = self.decides_by_score or by_score

    def on_finish(self, action: Callable[[], None]) -> None:
        """Call `action()` once when the loop is over, whatever ended it."""
        self.finish_actions.append(action)

    def on_leave(self, action: Callable[[], None]) -> None:
        """Call `action()` when everything is measured and the loop is left: what must not outlive it is undone here."""
        self.leave_actions.append(action)

    def on_loss(self, change: LossChange) -> None:
        """Pass every call of a loss function through `change` before it is computed, in training and in validation.

        `torch.is_grad_enabled()` tells `change` which of the two it is. A `loss_fn` that is a module of the user's own
        can only be exchanged as a whole, for one of torch's functions.
        """
        own = own_module(self.loss_fn)
        if own is not None and not self.loss_changes:
            self.on_leave(hook_loss_fn(own, self.loss_changes))
        self.loss_changes += [change] if self.loss_changes else [Sides(), change]

    def in_loop(self, context: AbstractContextManager[Any]) -> None:
        """Enter `context` whenever the loop's own code begins an epoch; leave it when that ends, however it does."""
        self.loop_contexts.append(context)

    @contextmanager
    def looping(self) -> Iterator[None]:
        """Around the loop's own code."""
        with ExitStack() as stack:
            for context in self.loop_contexts:
                stack.enter_context(context)
            yield

    def leave(self) -> None:
        """Undo what must not outlive the loop, the last first; all of it, also where one of them raises."""
        with ExitStack() as stack:
            for action in self.leave_actions:
                stack.callback(action)
            self.leave_actions = []

    def validating(self) -> bool:
        """Whether the loop validates just now, as far as can be told from its loader and the grad mode."""
        return self._validating() if self._validating is not None else not torch.is_grad_enabled()

    def note(self, remedy: str, value: Json) -> None:
        """Leave a fact `remedy.<name>` in the record, for `took_effect`."""
        self.facts[f"remedy.{remedy}"] = value

    def example(self) -> tuple[Any, Tensor | None] | None:
        """One training batch (inputs, targets), the user's random state untouched; None if there is none."""
        return self._example() if self._example is not None else None


@dataclass(frozen=True, slots=True)
class Remedy:
    """A loaded remedy."""

    name: str
    page: str
    changes: frozenset[str]
    parameters: type[Parameters]
    module: ModuleType

    @property
    def summary(self) -> str:
        """The page's first paragraph."""
        return self.page.split("\n\n", 1)[0].replace("\n", " ").strip()

    def candidates(self, diagnosis: Diagnosis, evidence: Evidence) -> list[Plan]:
        """Plans of this remedy alone, most promising first."""
        choices: Iterable[Parameters] = self.module.candidates(diagnosis, evidence)
        shown = [_shown(choice) for choice in choices]
        return [Plan(steps=(Step(remedy=self.name, parameters=parameters),)) for parameters in shown]

    def apply(self, session: Session, step: Step) -> None:
        """Raises: CannotApply, PlanError."""
        self.module.apply(session, self.check(step))

    def took_effect(self, record: Record, step: Step) -> bool:
        return bool(self.module.took_effect(record, self.check(step)))

    def check(self, step: Step) -> Parameters:
        """The step's parameters with their types. Raises: PlanError."""
        try:
            return self.parameters.model_validate(step.parameters)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"])) or step.remedy
            unknown = first["type"] == "extra_forbidden"
            raise PlanError(
                f"there is no parameter {name!r}" if unknown else f"{name}: {first['msg']}, found {first['input']!r}",
                context=f"remedy {step.remedy}",
                hint=f"it takes {', '.join(self.parameters.model_fields) or 'no parameters'}",
            ) from error


@cache
def load_remedies() -> dict[str, Remedy]:
    """All remedies by name."""
    names = [found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_")]
    return {name: _load(name) for name in sorted(names)}


def _shown(choice: Parameters) -> dict[str, Json]:
    """Parameters as TOML gives them back, without those that are off because nobody turned them on."""
    given = choice.model_dump(mode="json", exclude_none=True)
    defaults = {name: field.default for name, field in type(choice).model_fields.items()}
    return {name: value for name, value in given.items() if value or value != defaults[name]}


def check_plan(plan: Plan, where: str = "plan") -> None:
    """Raises: PlanError where the plan names an unknown remedy, gives a wrong parameter, or changes one part twice.

    where: the plan's file, for the message
    """
    if not plan:
        return  # most runs have none: they need not load a remedy
    known = load_remedies()
    changed: dict[str, str] = {}
    for step in plan.steps:
        if step.remedy not in known:
            close = difflib.get_close_matches(step.remedy, known, n=1, cutoff=0.6)  # difflib's own default
            hint = f"did you mean {close[0]}?" if close else "expected one that `advisor explain` lists"
            raise PlanError(f"there is no remedy {step.remedy!r}", context=where, hint=hint)
        remedy = known[step.remedy]
        try:
            remedy.check(step)
        except PlanError as error:
            raise PlanError(error.what, context=f"{where}, {error.context}", hint=error.hint) from error
        for part in remedy.changes:
            if part in changed and part not in SHARED:
                both = f"{step.remedy} and {changed[part]} both change the {part}"
                raise PlanError(both, context=where, hint="keep one of them")
            changed[part] = step.remedy


_in_place: weakref.WeakKeyDictionary[object, set[str]] = weakref.WeakKeyDictionary()  # by model or optimizer: steps


def _done(session: Session, lasts: str | None) -> set[str]:
    """The steps that a model or an optimizer has from an earlier loop; a new set for what does not last."""
    if lasts is None or (lasts == "optimizer" and not session.optimizers):
        return set()
    return _in_place.setdefault(session.model if lasts == "model" else session.optimizers[0], set())


def apply_plan(plan: Plan, session: Session) -> None:
    """Change the session's live objects in the plan's order. Raises: CannotApply, PlanError.

    What is undone when a loop is left is undone at once where a later remedy cannot be applied. What lasts is not done
    again for a second loop over the same model or optimizer: a fact `plan_in_place` names it.
    """
    check_plan(plan)
    kept: list[Json] = []
    try:
        for step in plan.steps:
            remedy = load_remedies()[step.remedy]
            done = _done(session, getattr(remedy.module, "LASTS", None))
            if step.model_dump_json() in done:
                kept.append(step.remedy)
                session.facts["plan_in_place"] = kept
                continue
            remedy.apply(session, step)
            done.add(step.model_dump_json())
    except BaseException:
        session.leave()
        raise


def _load(name: str) -> Remedy:
    module = importlib.import_module(f"{__name__}.{name}")
    page = inspect.cleandoc(module.__doc__ or "")
    found = tuple(re.findall(r"^## (.+?)\s*$", page, flags=re.MULTILINE))
    if found != HEADINGS:
        raise PlanError(f"expected the headings {HEADINGS}, found {found}", context=name)
    if "name" in module.Parameters.model_fields:
        raise PlanError("a parameter cannot be called 'name': a plan's file names the remedy so", context=name)
    return Remedy(name, page, frozenset(module.CHANGES), module.Parameters, module)
