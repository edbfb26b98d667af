"""Seconds of an epoch by phase, and samples per second, read from the clocks that `watching` keeps at every step.

On an accelerator work is queued: `forward`, `backward` and `step` are then the time to queue it, and what waits for the
device shows where the loop first asks for a result.
"""

from __future__ import annotations

from advisor.instruments import Live

PHASES = ("data", "forward", "backward", "step", "other")


class Timing:
    """`seconds` and `samples_per_second`."""

    def epoch_end(self, live: Live) -> None:
        total = live.seconds.get("total", 0.0)
        named = [live.seconds.get(phase, 0.0) for phase in PHASES[:-1]]
        live.emit("seconds", "train", [*named, max(0.0, total - sum(named))], PHASES)
        if live.samples and total > 0:
            live.emit("samples_per_second", "train", [live.samples / total])


instrument = Timing
