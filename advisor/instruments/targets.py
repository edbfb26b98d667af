"""What the targets are like: their range, what is odd about them, and how well the typical one is met.

Fact `targets`, from the first targets of the run: values (how many), least, greatest, median, mad (median absolute
deviation), mean, std; not_finite: share that is no number; outside: of a binary loss, share outside [0, 1]; ignored:
of class labels, share that is negative; distinct: how many different values, at most `MANY`; outliers: share more than
`FAR` deviations from the median (1.4826 MAD is one, for a normal distribution); outlier_squares: their share of the
sum of squared deviations from the median. Where there is one value only, elsewhere: 1 if another loss of the same
steps has other targets, as that of a discriminator has, else 0.

Series `typical_residual`: median absolute residual of the clean training data over the targets' MAD; 1 is what
answering the median gives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from advisor.instruments import HeardLoss, Live, LossCall
from advisor.record import Json
from advisor.sampling import EPOCHS_READ

MOST = 20_000  # values: the share of outliers of one in a hundred is then known to a fourteenth
PER_STEP = 1024  # of one step's, evenly spread
FAR = 10.0  # deviations: a convention; a normal target never lies there, a Laplace one in 1.4 million
NORMAL_MAD = 1.4826  # standard deviation of a normal distribution whose MAD is 1
MANY = 100  # different values, beyond which it does not matter how many


class Targets:
    """Keeps the first `MOST` target values of the run on the device until the epoch ends."""

    def __init__(self) -> None:
        self._waiting: list[Tensor] = []
        self._kept: list[NDArray[np.float64]] = []
        self._count = self._described = 0
        self._range: Tensor | None = None  # (2,) least and greatest target of any loss, on the device

    def loss_called(self, _: Live, heard: HeardLoss) -> None:
        if heard.target is None or self._count >= MOST or not heard.target.numel() or heard.target.is_complex():
            return
        both = torch.stack(heard.target.detach().aminmax()).double()
        if self._range is not None:
            both = torch.stack([torch.minimum(self._range[0], both[0]), torch.maximum(self._range[1], both[1])])
        self._range = both

    def step_loss(self, _: Live, call: LossCall) -> None:
        if call.target is None or self._count >= MOST or call.target.is_complex():
            return
        values = call.target.detach().reshape(-1)
        values = values[:: -(-values.numel() // PER_STEP) or 1]
        self._waiting.append(values.double())
        self._count += values.numel()

    def clean(self, live: Live, calls: Sequence[LossCall], _: Sequence[object]) -> None:
        if live.task != "regression":
            return
        pairs = [(c.output, c.target) for c in calls if c.output is not None and c.target is not None]
        pairs = [(output, target) for output, target in pairs if output.numel() == target.numel()]
        if pairs:
            target = torch.cat([t.reshape(-1).double() for _, t in pairs])
            residual = torch.cat([(o.reshape(-1) - t.reshape(-1)).abs().double() for o, t in pairs])
            spread = (target - target.median()).abs().median()
            live.emit("typical_residual", "clean_train", residual.median() / spread)

    def epoch_end(self, live: Live) -> None:
        if not self._waiting:
            return
        self._kept.append(torch.cat(self._waiting).cpu().numpy())
        self._waiting.clear()
        if self._count >= 2 * self._described or live.epoch < EPOCHS_READ:  # sorted again when they have doubled
            self._described = self._count
            table = described(np.concatenate(self._kept), live.task)
            if table.get("distinct") == 1 and self._range is not None:
                least, greatest = self._range.tolist()
                table["elsewhere"] = int(greatest > least)
            live.fact("targets", table)


def described(values: NDArray[np.float64], task: str | None) -> dict[str, Json]:
    """The table of facts. values: (n,)"""
    finite = values[np.isfinite(values)]
    table: dict[str, Json] = {"values": len(values), "not_finite": 1.0 - len(finite) / max(1, len(values))}
    if not len(finite):
        return table
    if task == "multiclass":
        table["ignored"] = float((finite < 0).mean())
    if task == "binary":
        table["outside"] = float(((finite < 0) | (finite > 1)).mean())
    different = len(np.unique(finite))
    median = float(np.median(finite))
    deviation = np.abs(finite - median)
    mad = float(np.median(deviation))
    table |= {"least": float(finite.min()), "greatest": float(finite.max()), "distinct": min(MANY, different)}
    table |= {"mean": float(finite.mean()), "std": float(finite.std()), "median": median, "mad": mad}
    if mad > 0 and deviation.any():
        far = deviation > FAR * NORMAL_MAD * mad
        squares = deviation**2
        table |= {"outliers": float(far.mean()), "outlier_squares": float(squares[far].sum() / squares.sum())}
    return {key: float(f"{v:.5g}") if isinstance(v, float) else v for key, v in table.items()}


instrument = Targets
