"""lr per param_group on sampled steps, as it really was; which optimizer and which schedule."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from advisor.instruments import Live
from advisor.record import Json


class LearningRate:
    """Read at the end of a step's round, before a scheduler moves it."""

    def start(self, live: Live) -> None:
        self._note(live)

    def step_end(self, live: Live) -> None:
        rates = [float(group["lr"]) for o in live.optimizers for group in o.param_groups if _plain(group.get("lr"))]
        if rates:
            live.emit("lr", "step", rates, tuple(map(str, range(len(rates)))))

    def epoch_end(self, live: Live) -> None:
        self._note(live)

    def _note(self, live: Live) -> None:
        groups: list[Json] = []
        for optimizer in live.optimizers:
            for group in optimizer.param_groups:
                momentum = group.get("momentum", (group.get("betas") or (None,))[0])
                groups.append(
                    {
                        "class": type(optimizer).__name__,
                        "lr": _number(group.get("initial_lr", group.get("lr"))),
                        "weight_decay": _number(group.get("weight_decay")),
                        "momentum": _number(momentum),
                    }
                )
        live.fact("optimizer", groups)
        live.fact("scheduler", type(live.schedulers[0]).__name__ if live.schedulers else None)


def _plain(value: Any) -> bool:
    """A number that is read without waiting for a device (capturable optimizers keep lr on the accelerator)."""
    return not isinstance(value, Tensor) or value.device.type == "cpu"


def _number(value: Any) -> float | None:
    return float(value) if value is not None and _plain(value) else None


instrument = LearningRate
