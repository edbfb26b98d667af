"""Which steps are looked at closely, so that watching stays inside its share of the training's time: DESIGN.md's 1 %.

The shares below add up to it. Beside them stands what each may spend before its share binds: nobody waits for a tenth
of a second, and a run of a second is seen whole.
"""

from __future__ import annotations

BUDGET = 0.004  # of the run's time, for sampled steps: every rule that counts steps needs some
PASSING = 0.003  # for passes in eval mode
PROBING = 0.002  # for probes that only call the model
READING = 0.00025  # for looking at whole batches: twice in each of the epochs that are read
GRACE = 0.03  # s, for sampled steps
PASS_GRACE = 0.1  # s, for passes: a short run gets a clean curve
PROBE_GRACE = 0.1  # s, for probes: a small model answers all of them in that
READ_GRACE = 0.0125  # s, for each phase in each epoch that is read: some hundred small batches
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
        """Whether one more batch may be read; training and validation have a share each."""
        return self._reading.get((phase, epoch), 0.0) <= READ_GRACE + READING * elapsed

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
        return max(PASS_GRACE / 4, PASSING * epoch)

    def affords(self, cost: float, elapsed: float) -> bool:
        """Whether work of `cost` s fits now."""
        return self._charged + cost <= PASS_GRACE + PASSING * elapsed
