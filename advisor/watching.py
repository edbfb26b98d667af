"""`advisor.watch`: the user's loop in, the same loop out, and a complete record beside it on every way out."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from itertools import count
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from advisor import assignment, ending, ranks, taps, tracing
from advisor.config import load_config, rules_in_force
from advisor.describing import check_arguments, describe, layer_info, optimizers_in
from advisor.diagnosis import Diagnosis, diagnose
from advisor.epochs import Epochs
from advisor.errors import AdvisorError
from advisor.evidence import Evidence
from advisor.fence import unwrapped
from advisor.instruments import Live, layers_of
from advisor.loaders import loaders_near
from advisor.observing import Observer
from advisor.passes import example_of
from advisor.plan import Plan, as_plan
from advisor.record import Record, RunInfo, Status
from advisor.recording import Recorder
from advisor.remedies import Session, apply_plan, check_plan

T = TypeVar("T")


def watch(
    iterable: Iterable[T],
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    loss_fn: Callable[..., Any] | None = None,
    *,
    train: Iterable[Any] | None = None,
    val: Iterable[Any] | None = None,
    scheduler: Any = None,
    metric: str | None = None,
    mode: Literal["min", "max"] | None = None,
    plan: Plan | str | Path | None = None,
    report: bool = True,
    name: str | None = None,
) -> Watch[T]:
    """Watch a training loop: iterate over the result in the place of `iterable`.

        for epoch in advisor.watch(range(20), model, optimizer, loss_fn, train=train_loader, val=val_loader):
            ...  # the loop as it was

    iterable:  epochs, or steps; may be endless
    optimizer: one, or a list of them, also in a wrapper of your own
    loss_fn:   torch's loss functions are seen without it; give a loss of your own, as a module or by `advisor.loss`
    train:     the training loader; found by watching where absent
    val:       the validation loader; where the loop never validates, `watch` evaluates on it itself
    scheduler: one, or a list of them
    metric:    what counts: a name that the loop gives to `watch.log`, or a series of the record; mode "min" or "max"
    plan:      a plan of `advisor fix`, or its file: applied in place before the first epoch
    report:    print a summary at the end

    Raises: AdvisorError before the first epoch, for arguments that cannot be used; never once the training runs.
    """
    optimizers = optimizers_in(optimizer)
    check_arguments(model, optimizers, train, mode)
    given = as_plan(plan)
    check_plan(given, str(plan) if isinstance(plan, str | Path) else "plan=")
    return Watch(
        iterable,
        model,
        optimizers,
        loss_fn,
        train=train,
        val=val,
        schedulers=scheduler if isinstance(scheduler, list) else [scheduler] if scheduler is not None else [],
        info=describe(iterable, model, name, metric, mode),
        plan=given,
        report=report,
    )


class Watch(Generic[T]):
    """A loop that is watched. Made by `watch`; iterate over it once."""

    def __init__(
        self,
        iterable: Iterable[T],
        model: nn.Module,
        optimizers: list[Optimizer],
        loss_fn: Callable[..., Any] | None,
        *,
        train: Iterable[Any] | None,
        val: Iterable[Any] | None,
        schedulers: list[Any],
        info: RunInfo,
        plan: Plan,
        report: bool,
    ) -> None:
        self._iterable, self._model, self._loss_fn, self._report = iterable, model, loss_fn, report
        self._orders = assignment.current()
        self._plan = plan + (self._orders.plan if self._orders else Plan())
        check_plan(self._plan)
        self._told = train if isinstance(train, DataLoader) else None, val if isinstance(val, DataLoader) else None
        near = loaders_near() if self._plan else (None, None)
        # by identity: the truth of a loader is its length, which a stream lacks
        given, held_out = (here if told is None else told for told, here in zip(self._told, near, strict=True))
        self._session = Session(
            unwrapped(model), optimizers, schedulers, loss_fn, given, held_out, info.epochs, info.step_based
        )
        self._session._example = lambda: example_of(self._session)
        self._info = info.model_copy(update={"plan": self._plan.model_dump(mode="json") if self._plan else None})
        self._recorder: Recorder | None = None
        self._observer: Observer | None = None
        self._epochs: Epochs | None = None
        self._diagnosis: Diagnosis | None = None
        self._begun = False
        tracing.called("watch")

    def __len__(self) -> int:
        if not isinstance(self._iterable, Sized):
            raise TypeError(f"{type(self._iterable).__name__} has no len()")
        return len(self._iterable)

    def __iter__(self) -> Iterator[T]:
        if self._begun:
            raise AdvisorError(
                "this loop was already watched", context="advisor.watch", hint="call it anew for each loop"
            )
        self._begun = True
        tracing.called("loop")
        if ranks.is_other():
            return self._pass_through()
        return self._watched()

    def log(self, **values: float) -> None:
        """Add numbers of your own to the record, at this step."""
        if self._recorder is None or self._observer is None:
            return
        live = self._observer.live
        for key, value in values.items():
            try:
                number = value if isinstance(value, torch.Tensor) and value.numel() == 1 else [float(value)]
                self._recorder.add(key, "log", self._observer.steps, live.epoch, _flat(number))
            except Exception as error:  # noqa: BLE001  the fence: what cannot be logged is noted
                self._recorder.problem(f"watch.log({key}=…)", error)

    @property
    def record(self) -> Record:
        """Everything that was measured so far."""
        if self._recorder is None:
            return Record(self._info)
        return self._recorder.record()

    @property
    def diagnosis(self) -> Diagnosis:
        """What the rules say of the record so far. Raises: AdvisorError for broken rules or settings of the user's."""
        if self._diagnosis is not None:
            return self._diagnosis
        config = load_config()
        return diagnose(Evidence(self.record), rules_in_force(config), config.thresholds)

    # ------------------------------------------------------------------------------------------------------ the loop

    def _pass_through(self) -> Iterator[T]:
        """On the other ranks of a distributed run: the plan, and nothing else."""
        apply_plan(self._plan, self._session)
        ranks.check_plan_fits(self._session)
        yield from ranks.acting(self._session, self._items())

    def _watched(self) -> Iterator[T]:
        self._begin()
        epochs, observer = self._epochs, self._observer
        assert epochs is not None  # mypy: _begin sets both
        assert observer is not None
        status: Status = "failed"
        with ending.watched_exit(self._end), ending.watched_signals(lambda: self._end("interrupted")) as signals:
            try:
                for item in self._items():
                    epochs.begin()
                    with self._session.looping():
                        yield item
                    epochs.end()
                    if epochs.stop:
                        break
                status = "finished"
            except GeneratorExit:
                status = ending.left(sys._getframe().f_back, signals, None if self._orders else self._recorder)
                raise
            except ending.Pruned:
                status = "pruned"
                raise
            finally:
                self._end(status)

    def _begin(self) -> None:
        orders = self._orders
        if orders is not None:
            given = {"seed": orders.seed, "session": orders.session, "trial": orders.trial}
            self._info = self._info.model_copy(update={**given, "name": orders.name or self._info.name})
        recorder = self._recorder = Recorder(self._info, orders.store if orders else None)
        model = self._session.model
        initial = copy.deepcopy(model) if orders is not None and orders.probes else None
        live = Live(model, self._session.optimizers, layers_of(model), recorder)
        live.step, (live.train, live.val) = 1, self._told
        live.schedulers, live.skipped_steps = self._session.schedulers, self._session.skipped_steps
        self._epochs = Epochs(live, self._session, initial, orders)
        try:
            apply_plan(self._plan, self._session)
            ranks.check_plan_fits(self._session)
        except AdvisorError as error:
            recorder.info = recorder.info.model_copy(
                update={"status": "failed", "error": f"{type(error).__name__}: {error}", "ended": time.time()}
            )
            recorder.flush(force=True)
            raise
        live.layers = layers_of(model)
        recorder.info = recorder.info.model_copy(
            update={"layers": tuple(layer_info(x.name, x.module) for x in live.layers), "epochs": self._session.epochs}
        )
        for key, value in self._session.facts.items():
            recorder.fact(key, value)
        session = self._session
        self._observer = Observer(
            live,
            self._model,
            self._loss_fn,
            batch_changes=session.batch_changes,
            step_actions=session.step_actions,
            loss_changes=session.loss_changes,
        )
        session._validating = self._observer.validating
        self._epochs.observer = self._observer
        taps.listen(self._observer)
        self._observer.tell("start")
        recorder.flush(force=True)

    def _items(self) -> Iterator[T]:
        """The user's own items; a plan that changes the number of epochs cuts or continues them."""
        planned = self._session.epochs if self._session.epochs != self._info.epochs else None
        last: Any = None
        given = 0
        for item in self._iterable:
            if planned is not None and given >= planned:
                return
            last, given = item, given + 1
            yield item
        step = self._iterable.step if isinstance(self._iterable, range) else 1
        if planned is not None and isinstance(last, int):
            for more in count(1):
                if given >= planned:
                    return
                given += 1
                yield last + more * step  # type: ignore[misc]  # T is int here

    def _end(self, status: Status) -> None:
        """Complete the record, whatever ended the loop. Never raises; a second call does nothing."""
        recorder, observer, epochs = self._recorder, self._observer, self._epochs
        if recorder is None or observer is None or epochs is None or recorder.info.ended is not None:
            return
        taps.leave(observer)
        observer.detach()
        recorder.info = recorder.info.model_copy(update={"status": status, "ended": time.time()})
        try:
            try:
                epochs.finish()
                for key, value in {**self._session.facts, **tracing.call_sites(self._session)}.items():
                    recorder.fact(key, value)
                recorder.settle()
            finally:
                self._session.leave()
        except Exception as error:  # noqa: BLE001  the fence
            recorder.problem("end", error)
        text = ""
        try:
            self._diagnosis = self.diagnosis
            text = self._diagnosis.model_dump_json()
        except AdvisorError as error:
            print(f"advisor: {error}", file=sys.stderr)
            recorder.problem("diagnosis", error)
        except Exception as error:  # noqa: BLE001  the fence
            recorder.problem("diagnosis", error)
        recorder.flush(force=True, diagnosis=text or None)
        ending.farewell(recorder, self._diagnosis, quiet=not self._report or bool(self._orders and self._orders.quiet))
        if recorder.store is not None:
            recorder.store.close()


def _flat(value: Any) -> Any:
    return value.reshape(1) if isinstance(value, torch.Tensor) else value
