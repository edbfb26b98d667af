"""Ends the run when validation has not improved for some epochs, and puts the best weights back.

## What it does
Keeps a copy of the model's state from the best epoch. After `patience` epochs without a better score the loop ends.
When the loop is over, however it ended, the model's weights and buffers are those of the best epoch again.

## When it helps
Overfitting, when nothing else is to change: the best model of the run is kept instead of the last one.

## When it hurts
Where the score is noisy, the best epoch is partly luck, and that score is a little better than the truth. A short
patience ends runs that would have improved after a plateau, and a schedule is cut off before its low rates.

## Cost
A copy of the model's state on its device. It saves the epochs that it cuts.

## References
Prechelt: Early Stopping - But When? In Neural Networks: Tricks of the Trade (1998): slower criteria gain about 4 % in
generalisation for about four times the training time.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.record import Record
from advisor.remedies import Epoch, Session
from advisor.remedies import Parameters as _Parameters

CHANGES = frozenset({"stopping"})
SHARE, SHORTEST = 5, 3  # patience is a fifth of the run, and three epochs at least: one or two bad ones are noise


class Parameters(_Parameters):
    """patience: epochs in a row without a better score."""

    patience: int = Field(default=5, ge=1)  # a convention; a candidate takes a fifth of the planned epochs


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """One choice, by the length of the run; none where nothing is validated."""
    if not (evidence.has("val_score") or evidence.has("val_loss")):
        return []
    if any(finding.rule == "too_few_epochs" for finding in diagnosis.findings):
        return []
    epochs = evidence.info.epochs or evidence.epochs
    return [Parameters(patience=max(SHORTEST, epochs // SHARE))]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the loop is too short for its patience to run out."""
    if session.epochs is not None and not session.step_based and session.epochs <= parameters.patience:
        raise CannotApply(
            f"a run of {session.epochs} epochs cannot wait for {parameters.patience}",
            context="early_stopping",
            hint="set a smaller patience",
        )
    keeper = Keeper(session, parameters.patience)
    session.on_epoch(keeper.on_epoch, by_score=True)
    session.on_finish(keeper.on_finish)
    session.note("early_stopping", {"patience": parameters.patience})


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any patience leaves the same facts
    """Whether the run ended early or got back the weights of an earlier epoch than its last."""
    best = record.facts.get("best_weights_epoch")
    return "stopped_epoch" in record.facts or (isinstance(best, int) and best < record.epochs_seen - 1)


class Keeper:
    """The best state so far, and how long it has not been beaten."""

    def __init__(self, session: Session, patience: int) -> None:
        self.session, self.patience = session, patience
        self.best, self.epoch, self.waited = -math.inf, -1, 0
        self.state: dict[str, Any] = {}

    def on_epoch(self, epoch: Epoch) -> None:
        if epoch.score is None:
            return  # not measured in this epoch, so neither better nor worse
        if epoch.score > self.best:  # False for NaN
            self.best, self.epoch, self.waited = epoch.score, epoch.number, 0
            self._keep()
            return
        self.waited += 1
        if self.waited == self.patience:
            self.session.facts["stopped_epoch"] = epoch.number
            epoch.stop()

    def on_finish(self) -> None:
        if self.state:
            self.session.model.load_state_dict(self.state)
            self.session.facts["best_weights_epoch"] = self.epoch

    @torch.no_grad()
    def _keep(self) -> None:
        """Copy into the tensors of the last copy where their shapes still fit, so that memory does not grow."""
        for name, value in self.session.model.state_dict().items():
            kept = self.state.get(name)
            if not isinstance(value, Tensor):
                self.state[name] = copy.deepcopy(value)
            elif isinstance(kept, Tensor) and kept.shape == value.shape and kept.dtype == value.dtype:
                kept.copy_(value)
            else:
                self.state[name] = value.detach().clone()
