"""torch-lr-finder 0.2.2: the learning-rate range test of its README, run before the training, then reset.

    lr_finder = LRFinder(model, optimizer, criterion)
    lr_finder.range_test(train_loader, start_lr=1e-7, end_lr=100, num_iter=100)
    _, suggestion = lr_finder.plot()
    lr_finder.reset()

`start_lr`, `end_lr` and `num_iter` are the README's (it builds the optimizer at 1e-7). It refuses an optimizer with a
scheduler, as its README says, so the scheduler's mark is taken off for the test and put back.

It suggests a rate and accuses nobody. What counts here as naming `learning_rate_too_high` or `learning_rate_too_low` is
our reading: a suggestion more than ten times below or above the rate that the run uses. Its cost is the test's.
"""

from __future__ import annotations

from importlib.metadata import version as installed
from typing import Any

from . import Epoch, Said

NAME = "torch-lr-finder"
INSTALL = "pip install torch-lr-finder==0.2.2"
FAR = 10.0  # a suggestion is read off a curve over nine decades; within one decade it says nothing


def version() -> str:
    import torch_lr_finder  # noqa: F401  (absent tools are told by the import)

    return installed("torch-lr-finder")


class Watch:
    def __init__(self, program: dict[str, Any]) -> None:
        import matplotlib

        matplotlib.use("Agg")
        from torch_lr_finder import LRFinder

        optimizer = program["optimizer"]
        self.rate = optimizer.param_groups[0]["lr"]
        marks = [group.pop("initial_lr", None) for group in optimizer.param_groups]
        finder = LRFinder(program["model"], optimizer, program["loss_fn"])
        try:
            finder.range_test(program["train_loader"], start_lr=1e-7, end_lr=100, num_iter=100)
            _, self.suggestion = finder.plot()
        finally:
            finder.reset()
            for group, mark in zip(optimizer.param_groups, marks, strict=True):
                group.pop("initial_lr", None)
                if mark is not None:
                    group["initial_lr"] = mark

    def loop(self, epochs: range) -> range:
        return epochs

    def epoch_end(self, epoch: Epoch) -> None:
        pass

    def said(self) -> list[Said]:
        text = f"suggested {self.suggestion:.1e}, used {self.rate:.1e}"
        if self.suggestion > self.rate * FAR:
            return [Said(text, frozenset({"learning_rate_too_low"}))]
        if self.suggestion < self.rate / FAR:
            return [Said(text, frozenset({"learning_rate_too_high"}))]
        return []
