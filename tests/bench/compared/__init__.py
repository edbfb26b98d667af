"""What an adapter hands back: the words of one tool about one run, beside our rule ids.

An adapter is a file of this package. It has `NAME`; `version()`, which raises ImportError with the way to install the
tool where it is absent; and `Watch(program)`, made just before the program's first epoch, with

    loop(epochs)       what the program iterates over: `epochs` itself, but for a tool that wraps the loop
    epoch_end(epoch)   called with the numbers that every training script prints
    said()             called once after the last epoch; what the tool says, what it says first in front

A tool's words are mapped to our rule ids by a table of that adapter, from a pattern to every rule that a reader could
take the words to mean. One word may name several rules, and each of them counts: the tables are generous on purpose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """The numbers of one epoch. A score is accuracy, or R2 where the task is a regression."""

    number: int
    train_loss: float
    train_score: float
    val_loss: float
    val_score: float


@dataclass(frozen=True)
class Said:
    """One thing that a tool said, and the rules that it names. A note may name a fault but accuses nobody."""

    text: str
    rules: frozenset[str]
    note: bool = False


def named(text: str, table: dict[str, str], *, note: bool = False) -> Said:
    """The words with the rules of the first pattern that they match; with none where no pattern does."""
    for pattern, rules in table.items():
        if re.search(pattern, text):
            return Said(text, frozenset(rules.split()), note)
    return Said(text, frozenset(), note)
