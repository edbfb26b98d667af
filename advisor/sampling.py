"""Which steps are looked at closely, so that watching stays inside its share of the training's time."""

from __future__ import annotations

BUDGET = 0.005  # of the run's time for sampled steps, and as much for eval-mode passes: together DESIGN.md's 1 %
GRACE = 0.03  # s in all that may be spent before the budget binds: nobody waits for it, and a short run is seen whole
PASSES = 0.1  # s, likewise, for eval-mode passes: a run of a second gets a clean curve, one of an hour its share
READING = 0.0025  # of the run's time for looking at whole batches of the first epochs: half the 0.5 % for facts
READ_GRACE = 0.05  # s, likewise: some hundred small batches
EPOCHS_READ = 2  # whose batches are read: the second shows whether order, samples and validation data repeat
FIRST_STEPS = 8  # looked at closely in every run: most wiring faults show there (issue: structural facts)
WIDEST = 2**16


class Sampling:
    """Sampled are the first steps, then those whose number is a multiple of `interval`, a power of two.

    `spent` grows by what our work on a sampled step costs; from it and the length of a step follows the interval.
    """

    def __init__(self, budget: float = BUDGET, grace: float = GRACE) -> None:
        self.interval = 8  # a convention: 12 samples in an epoch of 100 steps
        self.spent = 0.0
        self._budget, self._grace = budget, grace
        self._charged = 0.0
        self._reading = 0.0
        self._cost = 0.0  # s of one sampled step, smoothed

    def wants(self, step: int) -> bool:
        return step % self.interval == 0 or (step <= FIRST_STEPS and (step == 1 or self.spent < self._grace))

    def next_after(self, step: int) -> int:
        """The first step after this one that is sampled."""
        if step < FIRST_STEPS and self.wants(step + 1):
            return step + 1
        return (step // self.interval + 1) * self.interval

    def charge(self, seconds: float) -> None:
        """Our work outside of steps."""
        self._charged += seconds

    def reads(self, elapsed: float) -> bool:
        """Whether one more batch may be read."""
        return self._reading <= READ_GRACE + READING * elapsed

    def charge_reading(self, seconds: float) -> None:
        self._reading += seconds

    def sampled(self, cost: float, steps: int, elapsed: float) -> None:
        """A sampled step cost `cost` s; `steps` have taken `elapsed` s in all."""
        self.spent += cost
        self._cost = cost if not self._cost else 0.8 * self._cost + 0.2 * cost  # smoothed over about five samples
        if self.spent > self._grace and steps:
            step_time = max(1e-9, (elapsed - self.spent) / steps)
            while self._cost > self._budget * self.interval * step_time and self.interval < WIDEST:
                self.interval *= 2

    def longest_pass(self, epoch: float) -> float:
        """Seconds that one pass may take, by the length of an epoch: a quarter of the grace, or the budget's share."""
        return max(PASSES / 4, self._budget * epoch)

    def affords(self, cost: float, elapsed: float) -> bool:
        """Whether work of `cost` s fits now."""
        return self._charged + cost <= PASSES + self._budget * elapsed
