"""Puts the model into train mode for training and into eval mode for validation, where the loop does not.

## What it does
Before each forward pass of the model it looks at what the pass is for. In training (gradients are on and the loader
that runs is not the validation's) it calls `model.train()` if the model is in eval mode; in validation, or where
gradients are off, it calls `model.eval()` if the model is in train mode. Parts that were in eval mode while the model
was in train mode, as frozen batch normalisation is, keep it. With `which` only one of the two is repaired; a model that
was put into eval mode so is put back for the next training step. After the loop the hook is gone.

## When it helps
`model.eval()` before a validation and no `model.train()` after it; or a validation with no `model.eval()` before it.

## When it hurts
Where the mode is meant: fine-tuning with everything in eval mode, Monte Carlo dropout, or a pass without gradients that
is part of training, such as one that makes pseudo-labels. A validation that neither turns gradients off nor has a
loader that `watch` knows cannot be told from training. Inside a compiled model the hook does nothing.

## Cost
A look at a flag before each forward pass.

## References
PyTorch, Autograd mechanics, Evaluation mode.
https://docs.pytorch.org/docs/stable/notes/autograd.html#evaluation-mode-nn-module-eval
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.hooks import Hook
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session

CHANGES = frozenset({"modes"})
Which = Literal["train", "eval", "both"]


class Parameters(_Parameters):
    """which: the mode that the loop forgets."""

    which: Which = "both"


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:  # noqa: ARG001  the findings say it all
    """The mode that was found wrong; none where none was."""
    fired = {finding.rule for finding in diagnosis.findings}
    training, validating = "training_in_eval_mode" in fired, "validating_in_train_mode" in fired
    if not training and not validating:
        return []
    return [Parameters(which="both" if training and validating else "train" if training else "eval")]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where there is nothing to train."""
    if next(session.model.parameters(), None) is None:
        raise CannotApply("the model has no parameters", context="restore_modes")
    modes = Modes(session, parameters.which)
    # before all other hooks: they too ask what the pass is for
    session.on_leave(session.model.register_forward_pre_hook(Hook(modes.before_forward), prepend=True).remove)
    session.on_finish(lambda: session.note("restore_modes", {"train": modes.trained, "eval": modes.evaluated}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  the facts count both
    """Whether the model was put into another mode at least once."""
    note = record.facts.get("remedy.restore_modes")
    return isinstance(note, dict) and bool(note.get("train") or note.get("eval"))


class Modes:
    """How often the model was put into either mode: trained, evaluated.

    kept: the parts that are in eval mode on purpose, as last seen in training;  ours: it is in eval mode by our doing
    """

    def __init__(self, session: Session, which: Which) -> None:
        self.session, self.which = session, which
        self.trained = self.evaluated = 0
        self.ours = False
        self.kept: list[nn.Module] = []
        self._look(session.model)

    def before_forward(self, model: nn.Module, _: Any) -> None:
        if self.session.validating() or not torch.is_grad_enabled():
            if model.training and self.which != "train":
                self._look(model)
                model.eval()
                self.ours = True
                self.evaluated += 1
        elif model.training:
            self.ours = False
            if self.which != "eval":
                self._look(model)
        elif self.ours or self.which != "eval":
            model.train()
            for part in self.kept:
                part.training = False
            self.trained += not self.ours
            self.ours = False

    def _look(self, model: nn.Module) -> None:
        if model.training:
            self.kept = [part for part in model.modules() if not part.training]
