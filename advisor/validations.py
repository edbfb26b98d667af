"""Validation losses of the user's loop -> the instruments; a forward without a loss is judged by its batch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch

from advisor.bridging import main_output
from advisor.capture import evaluated
from advisor.evaluated import Evaluated
from advisor.instruments import Live
from advisor.losses import LossCall
from advisor.roles import Roles
from advisor.training_losses import TrainingLosses, kind


class Validations:
    """happened: in the epoch under way, by the user's loop; evaluated: what a loop without loaders evaluates."""

    def __init__(
        self,
        live: Live,
        roles: Roles,
        losses: TrainingLosses,
        tell: Callable[..., None],
        paused: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.happened = False
        self.evaluated = Evaluated(live)
        self._live, self._roles, self._losses, self._tell, self._paused = live, roles, losses, tell, paused
        self._unjudged: tuple[Any, Any, bool] | None = None  # (output, batch, mode) of a forward without a loss yet
        self._called = self._answered = False  # the model is called in training; it was, for this validation batch

    def trained(self, args: Any, kwargs: Any) -> None:
        """The model is trained on these."""
        self._called = True
        if self._roles.loader is None:
            self.evaluated.forward(args, kwargs, training=True)

    def forward(self, output: Any, args: Any, kwargs: Any) -> None:
        """The model answered in validation; whether the loop computes a loss of it shows later."""
        self.judge()
        if self._roles.loader is None:
            self.evaluated.forward(args, kwargs, training=False)
        self._unjudged = (output, self._roles.batch, self._live.model.training)
        self._answered = True

    def loss(self, call: LossCall | None, *, training: bool | None = None) -> None:
        """The loop computed a loss of it; `training`: the mode of its forward pass, where that is over."""
        self._unjudged = None
        other = self._called and not self._answered and self._roles.loader is not None  # a copy: averaged weights, say
        mode = None if other else self._live.model.training
        self._live.validated_in_train = mode if training is None else training
        main = self._losses.main
        if call is not None and main in (None, kind(call)) and self._roles.validates():
            if self._roles.loader is None and self.evaluated.of_training(call.size):
                return
            self.happened = True
            if self._live.val is None and self._roles.role == "val":
                self._live.val = self._roles.loader
            self._losses.learn(call)
            self._tell("validation", call)

    def end_epoch(self) -> None:
        self.judge()
        self.evaluated.end_epoch()

    def judge(self) -> None:
        """The forward is over and its loop computed no loss: the batch's own target serves."""
        unjudged, self._unjudged, self._answered = self._unjudged, None, False
        if unjudged is None or self._losses.again is None:
            return
        output, batch, training = unjudged
        try:
            target = self._roles.target_for(main_output(output), batch)
            if target is None:
                return
            self._losses.bridge.settle()
            with self._paused(), torch.no_grad():
                again = self._losses.again
                call = evaluated(output, again.target(target.to(self._live.device)), again, self._live.loss_name)
            self.loss(call, training=training)
        except Exception:  # noqa: BLE001  the batch's second element was no target after all: nothing was seen
            return

    def forget(self) -> None:
        self._unjudged = None
