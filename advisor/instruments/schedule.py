"""epoch_lr: the largest learning rate of any param_group at the end of each epoch; scheduler_steps of the first epoch.

`lr` by step knows only the sampled steps, of which a short run on a busy machine has few; this one misses no epoch.
"""

from __future__ import annotations

from torch import Tensor

from advisor.instruments import Live


class Schedule:
    """Reads numbers that lie on the host; rates on an accelerator are copied with the window."""

    def epoch_end(self, live: Live) -> None:
        rates = [group["lr"] for optimizer in live.optimizers for group in optimizer.param_groups if "lr" in group]
        tensors = [rate.detach().float().reshape(()) for rate in rates if isinstance(rate, Tensor)]
        plain = [float(rate) for rate in rates if not isinstance(rate, Tensor)]
        if plain:
            live.emit("epoch_lr", "train", [max(plain)])
        elif tensors:
            live.emit("epoch_lr", "train", tensors[0])
        if live.epoch == 0:
            made = getattr(live.schedulers[0], "last_epoch", None) if live.schedulers else None
            live.fact("scheduler_steps", made if isinstance(made, int) else None)


instrument = Schedule
