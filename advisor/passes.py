"""Our own evaluations of the model in training: on the fixed part of the training data, on `val`, for a verdict.

All in eval mode; the model, its modes and the random state are afterwards as they were.
"""

from __future__ import annotations

from time import thread_time
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map
from torch.utils.data import DataLoader, IterableDataset

from advisor.capture import autocast_like, clean_pass, evaluated
from advisor.fence import eager, untouched
from advisor.independent import Independent
from advisor.instruments import Live
from advisor.losses import LossCall
from advisor.observing import Observer
from advisor.remedies import Session
from advisor.sampling import EPOCHS_READ


class Passes:
    """judging: share of the run's time for the number that a verdict may go by; 0 where none needs it

    cleaned_at: the newest epoch with a clean pass
    """

    def __init__(self, live: Live, session: Session, judging: float) -> None:
        self._live, self._session = live, session
        self.cleaned_at = -1
        self._clean_cost = 0.0
        self._own = False  # the loop does not validate: we do
        self._independent = Independent(live, sequential, judging) if judging else None

    def clean(self, observer: Observer, *, last: bool) -> None:
        """The eval-mode pass over the fixed part, as often as the budget allows, and always at the end."""
        live = self._live
        again = observer.losses.again
        affordable = observer.sampling.affords(self._clean_cost, observer.elapsed)
        if again is None or not observer.capture.batches or not (last or live.epoch == 0 or affordable):
            return
        began = thread_time()
        try:
            with observer.paused():
                limit = (
                    float("inf")
                    if self.cleaned_at >= 0
                    else observer.sampling.longest_pass(live.seconds.get("total", 0.0))
                )
                calls, entered = clean_pass(live.model, live.layers, observer.capture, again, live.loss_name, limit)
                with torch.no_grad():
                    observer.tell("clean", calls, entered)
        except Exception as error:  # noqa: BLE001  the fence: a model that cannot be called again is not called again
            live.recorder.problem("clean pass", error)
            observer.capture.batches.clear()
        self._clean_cost = thread_time() - began
        self.cleaned_at = live.epoch

    def validate(self, observer: Observer) -> None:
        """Evaluate on `val` where the loop does not."""
        live = self._live
        if observer.validations.happened:
            self._own = False
            return
        if live.epoch == 0:
            self._own = live.val is not None
        loader, again = self._session.val, observer.losses.again
        if not self._own or loader is None or again is None or isinstance(loader.dataset, IterableDataset):
            return
        live.fact("own_evaluation", True)
        with observer.paused(), untouched(live.model), eager():
            live.model.eval()
            live.own_pass = True
            try:
                for batch in sequential(loader):
                    if live.epoch < EPOCHS_READ:
                        observer.tell("val_batch", batch)
                    call = self._evaluate(observer, batch)
                    if call is not None:
                        observer.tell("validation", call)
            finally:
                live.own_pass = False

    def judge(self, observer: Observer, *, last: bool) -> None:
        """The number of our own that a verdict may go by, as often as its share allows, and always at the end."""
        live = self._live
        independent = self._independent
        if independent is None or independent.measured == live.epoch:
            return
        if not last and not independent.due(observer.elapsed, self._session.epochs):
            return
        with observer.paused(), untouched(live.model), eager(), torch.no_grad():
            live.model.eval()
            independent.measure(lambda batch: self._evaluate(observer, batch))

    def _evaluate(self, observer: Observer, batch: Any) -> LossCall | None:
        """The loop's loss of a batch, by a forward pass of our own; None where it cannot be computed."""
        live = self._live
        again = observer.losses.again
        if again is None:
            return None
        batch = tree_map(lambda leaf: leaf.to(live.device) if isinstance(leaf, Tensor) else leaf, batch)
        with autocast_like(observer.capture.autocast):
            if isinstance(batch, dict):
                return evaluated(live.model(**batch), batch.get("labels"), again, live.loss_name)
            if isinstance(batch, tuple | list) and len(batch) > 1:
                return evaluated(live.model(batch[0]), again.target(batch[1]), again, live.loss_name)
        return None


def example_of(session: Session) -> tuple[Any, Tensor | None] | None:
    """One training batch, read through the data set and not through the loader."""
    loader = session.train
    if loader is None or isinstance(loader.dataset, IterableDataset):
        return None
    with untouched():
        batch = next(iter(sequential(loader)), None)
    if isinstance(batch, tuple | list) and len(batch) > 1 and isinstance(batch[1], Tensor):
        return batch[0], batch[1]
    return (batch, None) if batch is not None else None


def sequential(loader: DataLoader[Any]) -> DataLoader[Any]:
    """The loader's data in order, by a loader of our own: the user's keeps its workers, its generator and its place."""
    if loader.batch_size is None:
        return DataLoader(loader.dataset, batch_size=None, collate_fn=loader.collate_fn)
    return DataLoader(loader.dataset, batch_size=loader.batch_size, collate_fn=loader.collate_fn)
