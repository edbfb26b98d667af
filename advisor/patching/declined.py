"""Why a change of a plan is not written into the source: the answer of an edit that is not certain."""

from __future__ import annotations


class Declined(Exception):
    """One clause that a user can act on: `lr is computed at line 12: args.lr`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)
