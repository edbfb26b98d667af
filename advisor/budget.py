"""What a fix session may still spend: trainings of the baseline's length, and wall time."""

from __future__ import annotations

import time
from collections.abc import Callable

ROUNDING = 1e-9  # sums of shares of a training are not exact


class Budget:
    """Spent and left.

    trainings: in multiples of the baseline's length; a run that was stopped counts for what it ran
    seconds:   wall time of the session; None for no limit
    held:      of the trainings, what is kept back for the control of a plan that trains longer
    """

    def __init__(
        self, trainings: float, seconds: float | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.trainings = trainings
        self.seconds = seconds
        self.spent = self.held = 0.0
        self.training_seconds = 0.0  # of one run of the baseline's length; 0 until one has ended
        self._clock = clock
        self._began = clock()

    @property
    def left(self) -> float:
        return self.trainings - self.spent

    @property
    def elapsed(self) -> float:
        """s since the session began."""
        return self._clock() - self._began

    @property
    def seconds_left(self) -> float | None:
        return None if self.seconds is None else max(0.0, self.seconds - self.elapsed)

    def charge(self, cost: float) -> None:
        self.spent += cost

    def go_on_from(self, elapsed: float) -> None:
        """The session had taken so long, in a process that is gone."""
        self._began = self._clock() - elapsed

    def allows(self, cost: float, *, jobs: int = 1) -> bool:
        """Whether so many trainings still fit; `jobs` of them run at the same time."""
        if cost > self.left - self.held + ROUNDING:
            return False
        return self.seconds_left is None or cost / jobs * self.training_seconds <= self.seconds_left
