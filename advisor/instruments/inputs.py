"""What the inputs are like: in training against validation, and what enters the first layer.

Facts, from the first two epochs and the first clean pass:

    inputs             level: "model" where the arguments of the user's own forward passes were seen in both phases,
                       else "loader"; train_rows, val_rows; features; train_mean, train_std, val_mean, val_std over all
                       features; shift, typical_shift: largest and median difference of a feature's means, in standard
                       deviations (root mean square of both phases); shifted_feature; spread: median over the features
                       of the ratio of the standard deviations, validation over training
    input_mean,        of each feature of the training data, where they are few
    input_std
    first_layer_input  layer, kind; mean, std over all; largest: greatest root mean square of a feature; smallest:
                       least standard deviation of one that varies; offset: largest mean of a feature in its deviations.
                       Beside embeddings: of the first other layer, where the model's numbers enter it as they are
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from advisor.instruments import Live, LossCall
from advisor.instruments._leaves import floating_input
from advisor.instruments._moments import Moments, Values
from advisor.record import Json
from advisor.sampling import EPOCHS_READ

MOST_BATCHES = 32  # of an epoch, at each level: about a thousand samples, as many as a mean needs
LISTED = 32  # features whose mean and deviation are written down one by one
AS_GIVEN = 2.0  # times at most between the largest features: a layer gets what the model got, and no layer's result
STILL = 1e-6  # of the deviation of all features: one below it does not vary


class Inputs:
    """Moments by level and phase."""

    def __init__(self) -> None:
        self._seen = {(level, phase): Moments() for level in ("loader", "model") for phase in ("train", "val")}
        self._first_layer = False

    def train_batch(self, live: Live, batch: Any) -> None:
        self._add(live, "loader", "train", batch)

    def val_batch(self, live: Live, batch: Any) -> None:
        self._add(live, "loader", "val", batch)

    def train_inputs(self, live: Live, given: Any) -> None:
        self._add(live, "model", "train", given)

    def val_inputs(self, live: Live, given: Any) -> None:
        self._add(live, "model", "val", given)

    def clean(self, live: Live, _: Sequence[LossCall], entered: Sequence[Sequence[tuple[int, Tensor]]]) -> None:
        if self._first_layer or not entered or not entered[0]:
            return
        self._first_layer = True
        embeds = [isinstance(layer.module, nn.Embedding | nn.EmbeddingBag) for layer in live.layers]
        first = next((index for index, _ in entered[0] if not embeds[index]), None)
        if first is None:
            return
        moments = Moments()
        for batch in entered:
            found = next(((index, tensor) for index, tensor in batch if not embeds[index]), None)
            if found is not None and found[0] == first:
                moments.add(found[1])
        pooled = moments.pooled()
        if pooled is not None and (not any(embeds) or self._as_given(pooled)):
            layer = live.layers[first]
            live.fact("first_layer_input", _entering(layer.name, type(layer.module).__name__, *pooled))

    def _as_given(self, entering: tuple[Values, Values]) -> bool:
        """Whether what enters a layer beside embeddings has the size of the numbers that the model was given."""
        given = self._seen["model", "train"].pooled()
        if given is None:
            return False
        one, other = _largest(*entering), _largest(*given)
        return other > 0 and 1 / AS_GIVEN <= one / other <= AS_GIVEN

    def epoch_end(self, live: Live) -> None:
        if live.epoch >= EPOCHS_READ:
            return
        pooled = {key: moments.pooled() for key, moments in self._seen.items()}
        both = [lv for lv in ("model", "loader") if pooled[lv, "train"] is not None and pooled[lv, "val"] is not None]
        level = both[0] if both else "model" if pooled["model", "train"] is not None else "loader"
        train, val = pooled[level, "train"], pooled[level, "val"]
        if train is None:
            return
        if len(train[0]) <= LISTED:
            live.fact("input_mean", [_short(v) for v in train[0]])
            live.fact("input_std", [_short(v) for v in train[1]])
        if val is not None and len(val[0]) == len(train[0]):
            rows = {f"{phase}_rows": self._seen[level, phase].rows for phase in ("train", "val")}
            live.fact("inputs", {"level": level, **rows, **_compared(train, val)})

    def _add(self, live: Live, level: str, phase: str, tree: Any) -> None:
        if live.epoch >= EPOCHS_READ:
            return
        moments = self._seen[level, phase]
        leaf = floating_input(tree) if len(moments.sizes) < MOST_BATCHES * (live.epoch + 1) else None
        if leaf is not None and leaf.numel():
            moments.add(leaf)


def _compared(train: tuple[Values, Values], val: tuple[Values, Values]) -> dict[str, Json]:
    (mean, std), (val_mean, val_std) = train, val
    total, val_total = _over_all(mean, std), _over_all(val_mean, val_std)
    varies = std > STILL * max(total[1], 1e-30)
    deviation = np.sqrt((std**2 + val_std**2) / 2)
    shift = np.where(varies, np.abs(val_mean - mean) / np.where(varies, deviation, 1.0), 0.0)
    ratio = val_std[varies] / std[varies]
    return {
        "features": len(mean),
        "train_mean": _short(total[0]),
        "train_std": _short(total[1]),
        "val_mean": _short(val_total[0]),
        "val_std": _short(val_total[1]),
        "shift": _short(shift.max()),
        "shifted_feature": int(shift.argmax()),
        "typical_shift": _short(np.median(shift[varies])) if varies.any() else None,
        "spread": _short(np.median(ratio)) if varies.any() else None,
    }


def _entering(layer: str, kind: str, mean: Values, std: Values) -> dict[str, Json]:
    total = _over_all(mean, std)
    varies = std > STILL * max(total[1], 1e-30)
    return {
        "layer": layer,
        "kind": kind,
        "features": len(mean),
        "mean": _short(total[0]),
        "std": _short(total[1]),
        "largest": _short(_largest(mean, std)),
        "smallest": _short(std[varies].min()) if varies.any() else None,
        "offset": _short((np.abs(mean[varies]) / std[varies]).max()) if varies.any() else None,
    }


def _largest(mean: Values, std: Values) -> float:
    """Greatest root mean square of a feature."""
    return float(np.sqrt(mean**2 + std**2).max())


def _over_all(mean: Values, std: Values) -> tuple[float, float]:
    """Mean and standard deviation over all features."""
    centre = float(mean.mean())
    return centre, float(np.sqrt((std**2 + (mean - centre) ** 2).mean()))


def _short(value: float | np.floating[Any]) -> float:
    return float(f"{float(value):.5g}")  # digits: a record is read by people too


instrument = Inputs
