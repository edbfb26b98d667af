"""The scores of a run, epoch by epoch -> how far below them another run on the same seed is clearly behind.

A screening that is behind for two epochs in a row is stopped (`Rival`). Two margins count as clear, the smaller where
both do:

- from the first quarter on, the spread of what is kept over its seeds, or between the rival's neighbouring epochs;
- a quarter of the run later, twice the spread between neighbouring epochs, where the rival is no run of what is kept:
  of the seeds of a sick baseline, which are far apart, nothing follows for the change that has repaired it.

On the curves of 247 screenings of thirteen programs the second margin lost no change that had come out above its rival,
and the first four, by less than a point each (tests/bench/early_stop.py compares whole sessions).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EARLIEST = 0.25  # of a run, before which no screening is stopped: what regularises begins slowly
LATER = 0.5  # of a run, for what changes the schedule: it may begin slowly on purpose
CLOSER = 0.25  # of a run, after which the second margin counts
APART = 2.0  # spreads between neighbouring epochs: by chance in one epoch of 40


def floors(values: NDArray[np.float64], noise: float, *, since: float, of_another: bool) -> dict[int, float]:
    """By place in the run, the value below which a run is clearly behind; {} where there is too little to go by.

    values:     (E,) the rival's, higher is better
    noise:      standard deviation of what is kept over its seeds
    since:      share of the run before which nothing counts
    of_another: whether the rival is no run of what is kept
    """
    start, half, closer = (int(len(values) * share) for share in (since, 0.5, since + CLOSER))
    if len(values) - start < 2 or not np.isfinite(values[start:]).all():
        return {}
    jitter = float(np.std(np.diff(values[half:]))) if len(values) - half > 1 else 0.0
    first = max(noise, jitter)
    second = min(first, APART * jitter) if of_another and jitter > 0 else first
    return {place: float(values[place]) - (second if place >= closer else first) for place in range(start, len(values))}
