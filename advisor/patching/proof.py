"""Two runs -> whether they are the same training: every loss and score of every epoch, and the number of steps.

"Same" is bit for bit, or within `TOLERANCE` where the sums inside the two runs may round in another order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from advisor.patching.declined import Declined
from advisor.record import Record

TOLERANCE = 1e-4  # relative; float32 keeps 1.2e-7, and an error in it grows over the steps of a short training
UNPROVEN = "not proven"
TRAINED = "train_loss"  # what is compared in any case
VALIDATED = "val"  # the phase of what the loop's own validation gives; other series are measured as time allows


@dataclass(frozen=True, slots=True)
class Proof:
    """epochs: that were compared;  difference: the largest relative one; 0 for bit for bit."""

    epochs: int
    difference: float

    def __str__(self) -> str:
        same = "bit for bit" if not self.difference else f"to {self.difference:.0e}"
        return f"the same in all {self.epochs} epochs, {same}"


def compare(planned: Record, patched: Record) -> Proof:
    """Raises: Declined with the first difference."""
    if TRAINED not in planned or TRAINED not in patched:
        raise Declined(f"{UNPROVEN}: the run recorded no training loss")
    if planned.last_step != patched.last_step:
        raise Declined(f"{UNPROVEN}: {planned.last_step} steps with the plan, {patched.last_step} with the patch")
    validated = [name for name, s in planned.series.items() if s.phase == VALIDATED and name in patched]
    gaps = [_difference(name, planned, patched) for name in (TRAINED, *validated)]
    return Proof(len(planned.series[TRAINED].epochs), max(gaps))


def _difference(name: str, planned: Record, patched: Record) -> float:
    one, other = planned.series[name], patched.series[name]
    epochs, here, there = np.intersect1d(one.epochs, other.epochs, return_indices=True)
    if name == TRAINED and not len(epochs) == len(one.epochs) == len(other.epochs):
        raise Declined(f"{UNPROVEN}: {len(one.epochs)} epochs with the plan, {len(other.epochs)} with the patch")
    a, b = one.values[here, 0].astype(np.float64), other.values[there, 0].astype(np.float64)
    with np.errstate(invalid="ignore"):  # inf - inf
        gap = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b) / np.maximum(np.abs(a), np.abs(b)))
    off = np.flatnonzero(~(gap <= TOLERANCE))  # NaN is off too
    if len(off):
        first = off[0]
        said = f"{a[first]:.6g} with the plan and {b[first]:.6g} with the patch"
        raise Declined(f"{UNPROVEN}: {name} of epoch {epochs[first] + 1} is {said}")
    return float(gap.max(initial=0.0))
