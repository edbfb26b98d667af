"""`label_smoothing` in the call that computes the training loss; validation keeps the loss that it has."""

from __future__ import annotations

from advisor.patching.arguments import argument
from advisor.patching.edits import Shown
from advisor.patching.edits._loss_call import training_loss
from advisor.patching.literals import literal, written
from advisor.patching.source import Replacement, Source


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """The share that the run had. The function takes the place of a loss that is an object, in training alone."""
    share = shown.parameters["smoothing"]
    assert isinstance(share, float)  # mypy: the remedy's own parameter
    loss = training_loss(source, shown, {"CrossEntropyLoss": "cross_entropy"})
    smoothed = argument(source, loss.call, "label_smoothing")
    if smoothed is not None:
        return [source.replaced(literal(source, smoothed.value, "label_smoothing"), written(share))]
    return loss.with_argument(source, "label_smoothing", written(share))
