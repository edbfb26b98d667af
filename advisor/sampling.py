"""Which steps are looked at closely, so that watching stays inside its share of the training's time."""

from __future__ import annotations

BUDGET = 0.005  # of the run's time for sampled steps, and as much for eval-mode passes: together DESIGN.md's 1 %
GRACE = 0.03  # s in all that may be spent before the budget binds: nobody waits for it, and a short run is seen whole
PASSES = 0.1  # s, likewise, for eval-mode passes: a run of a second gets a clean curve, one of an hour its share
READING = 0.0025  # of the run's time for looking at whole batches of the first epochs: half the 0.5 % for facts
READ_GRACE = 0.0125  # s, likewise, for each phase in each epoch that is read: some hundred small batches
PROBING = 0.005  # of the run's time for probes that only call the model
PROBE_GRACE = 0.1  # s, likewise: a small model answers all of them in that
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
        self._reading: dict[tuple[str, int], float] = {}  # by phase and epoch: none may starve the next
        self._probing = 0.0
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

    def reads(self, phase: str, epoch: int, elapsed: float) -> bool:
        """Whether one more batch may be read; training and validation have half of the share each."""
        return self._reading.get((phase, epoch), 0.0) <= READ_GRACE + READING / 2 * elapsed

    def charge_reading(self, phase: str, epoch: int, seconds: float) -> None:
        self._reading[phase, epoch] = self._reading.get((phase, epoch), 0.0) + seconds

    def probes(self, elapsed: float) -> bool:
        """Whether one more probe may begin."""
        return self._probing <= PROBE_GRACE + PROBING * elapsed

    def charge_probe(self, seconds: float) -> None:
        self._probing += seconds

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
