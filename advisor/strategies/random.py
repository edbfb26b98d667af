"""Chance chooses, evenly among all candidates of all remedies, blind to the diagnosis: what the others have to beat."""

from __future__ import annotations

import random
from collections.abc import Sequence

from advisor.plan import Plan
from advisor.strategies import Screened, Setting, Strategy, whole_pool


def build(setting: Setting) -> Strategy:
    return Random(setting)


class Random:
    """The pool in a shuffled order, the same in every session."""

    def __init__(self, setting: Setting) -> None:
        self._pool = whole_pool(setting)
        random.Random(len(setting.kept.steps)).shuffle(self._pool)

    def follow_up(self, screened: Sequence[Screened]) -> Plan | None:  # noqa: ARG002  it tries one thing at a time
        return None

    def ask(self, screened: Sequence[Screened]) -> Plan | None:  # noqa: ARG002  chance does not look
        return self._pool.pop() if self._pool else None
