"""A loop without loaders -> which of its evaluations are of the samples that it trains on, and so are no validation.

Scripts that cut their batches by hand often evaluate twice an epoch: `criterion(model(x_train), y_train)`, and the same
of `x_val`. Nothing but the samples tells the two apart. They are compared in the first epoch, by value; in later ones
an evaluation is known by its place and its size.

Fact `evaluated`, after the first epoch: given, the samples of what is left as validation; in_training, so many of them
are training samples bit for bit; copies, the share of the training samples that is not alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from advisor.instruments import Live
from advisor.instruments._identity import identities
from advisor.instruments._leaves import inputs_of
from advisor.record import Json

MOST = 200_000  # samples that are told apart: sorting them takes some 20 ms, once a run
WHOLE = 0.95  # of an evaluation's samples are training samples, and of the training samples in such evaluations
DISTINCT = 0.9  # of the training samples: where more repeat, as codes of a few bits do, copies mean nothing
Place = tuple[int, int]  # (how many evaluations came before it in its epoch, samples)


class Evaluated:
    """Follows the forward passes of the first epoch, then the places of the evaluations of each."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._first = True
        self._trained: list[Tensor] = []
        self._now: Tensor | None = None  # of the newest forward pass in validation
        self._seen: dict[Place, Tensor | None] = {}
        self._again: set[Place] = set()  # evaluations of the training samples
        self._at = self._read = 0

    def forward(self, args: Any, kwargs: Any, *, training: bool) -> None:
        """The model is asked about these."""
        if not self._first or self._read > MOST:
            return
        try:
            leaves = inputs_of((args, kwargs)) or inputs_of(kwargs)
            found = identities(leaves) if leaves and leaves[0].numel() else None
        except Exception as error:  # noqa: BLE001  the fence: without their identities all evaluations count
            self._first = False
            self._live.recorder.problem("evaluated", error)
            return
        self._read += 0 if found is None else len(found)
        if not training:
            self._now = found
        elif found is not None:
            self._trained.append(found)

    def of_training(self, size: int) -> bool:
        """Whether the evaluation whose loss was computed just now is known to be of the training samples."""
        place, now = (self._at, size), self._now
        self._at, self._now = self._at + 1, None
        if now is not None and size < len(now):  # of a part of them, as a mask over the nodes of a graph picks it
            now = None
        if self._first:
            self._seen[place] = now
        return place in self._again

    def end_epoch(self) -> None:
        """One copy from the device, after the first epoch."""
        first, self._first, self._at, self._now = self._first, False, 0, None
        if first and self._trained and self._read <= MOST and any(rows is not None for rows in self._seen.values()):
            self._compare(_brought(self._trained), {p: _brought([r]) for p, r in self._seen.items() if r is not None})
        self._trained, self._seen = [], {}

    def _compare(self, trained: Any, seen: dict[Place, Any]) -> None:
        distinct, index, counts = np.unique(trained, return_inverse=True, return_counts=True)
        if len(distinct) < DISTINCT * len(trained):
            return
        whole = {place for place, rows in seen.items() if np.isin(rows, distinct).mean() >= WHOLE}
        covered = np.isin(distinct, np.concatenate([seen[p] for p in whole])).mean() if whole else 0.0
        self._again = whole if covered >= WHOLE and len(whole) < len(self._seen) else set()
        left = np.concatenate([rows for place, rows in seen.items() if place not in self._again] or [trained[:0]])
        known: dict[str, Json] = {
            "given": len(left),
            "in_training": int(np.isin(left, distinct).sum()),
            "copies": float((counts[index] > 1).mean()),
        }
        self._live.fact("evaluated", known)


def _brought(parts: list[Tensor]) -> Any:
    """(n,) on the host."""
    return torch.cat(parts).cpu().numpy()
