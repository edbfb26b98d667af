"""How long the training waits for its data, beyond the first epoch, whose start-up is paid once.

Fact `data_wait`: seconds waited; share of the time of those epochs' training, validation not counted; per_sample, s;
epochs; workers of the loader.
"""

from __future__ import annotations

from advisor.instruments import Live

TRAINING = ("data", "forward", "backward", "step")


class Waiting:
    """Sums of the clocks that watching keeps."""

    def __init__(self) -> None:
        self._waited = self._total = 0.0
        self._samples = self._epochs = 0

    def epoch_end(self, live: Live) -> None:
        total = sum(live.seconds.get(phase, 0.0) for phase in TRAINING)
        if live.epoch == 0 or total <= 0 or not live.samples:
            return
        self._waited += live.seconds.get("data", 0.0)
        self._total += total
        self._samples += live.samples
        self._epochs += 1
        live.fact(
            "data_wait",
            {
                "seconds": round(self._waited, 2),
                "share": round(self._waited / self._total, 3),
                "per_sample": float(f"{self._waited / self._samples:.3g}"),
                "epochs": self._epochs,
                "workers": live.train.num_workers if live.train is not None else None,
            },
        )


instrument = Waiting
