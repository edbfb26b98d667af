"""advisor, of this checkout: the one wrapped line, as the bench's own run.py opens it, and its diagnosis.

Every finding counts as an accusation, a note too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

import advisor
from advisor.rulebook import load_rules

from . import Epoch, Said

NAME = "advisor"
INSTALL = "pip install -e ."


def version() -> str:
    load_rules()
    return f"{advisor.__version__} (this checkout)"


class Watch:
    def __init__(self, program: dict[str, Any]) -> None:
        self.program = program

    def loop(self, epochs: range) -> Iterable[int]:
        program = self.program
        if not isinstance(program["loss_fn"], nn.Module):
            program["loss_fn"] = advisor.loss(program["loss_fn"])
        metric = {} if program["measure"] == "val_loss" else {"metric": "val_score", "mode": "max"}
        self.watch = advisor.watch(
            epochs,
            program["model"],
            program["optimizer"],
            program["loss_fn"],
            train=program["train_loader"],
            val=program["val_loader"],
            scheduler=program["scheduler"],
            report=False,
            **metric,
        )
        return self.watch

    def epoch_end(self, epoch: Epoch) -> None:
        self.watch.log(val_score=epoch.val_score)

    def said(self) -> list[Said]:
        return [
            Said(f"{finding.rule} {finding.confidence:.2f}", frozenset({finding.rule}))
            for finding in self.watch.diagnosis.findings
        ]
