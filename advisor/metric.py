"""A record -> the number a run is judged by: which series, which direction, its value at the end and at its best."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from advisor.errors import AdvisorError
from advisor.record import Record, RunInfo

Mode = Literal["min", "max"]
BY_DEFAULT: tuple[tuple[str, Mode], ...] = (
    ("val_accuracy", "max"),
    ("val_r2", "max"),
    ("val_loss", "min"),
    ("train_loss", "min"),
)
LOSSES = ("train_loss", "val_loss")
FALLING = ("loss", "error", "gap", "mse", "mae", "rmse", "perplexity", "nll", "wer", "cer")  # names of what should fall
SUGGESTIONS = 3  # names offered for one that is not there
GAP = "val_gap"  # how far the loop's own score lies from ours: to be closed, which says nothing of how good a model is
INDEPENDENT = "independent_"  # begins the names of the other series that `advisor.independent` measures
MEANING = {  # of the numbers that a rule names as the judge: who reads the verdict never asked for them
    GAP: "how far the score that the loop computes lies from the one that advisor computes of the same model, in eval "
    "mode and without samples that the training data hold too; 0 where they agree: it says whether the score can be "
    "trusted, not how good the model is",
    "val_balanced_accuracy": "the mean of the accuracies within each class, where a class of few samples counts as "
    "much as one of many",
    "independent_unpadded_accuracy": "the accuracy on real targets alone, without those that only fill up a batch",
}
LAST_EPOCHS = (
    3  # averaged into the final score, so that one bad last epoch does not decide (EVIDENCE: use the last few)
)
SHORT_RUN = 10  # epochs below which an average over three would mix in the ascent


@dataclass(frozen=True, slots=True)
class Metric:
    """A series of the record and whether more or less of it is better."""

    name: str
    mode: Mode

    @property
    def sign(self) -> float:
        """Multiply by it to get a score: higher is better."""
        return 1.0 if self.mode == "max" else -1.0

    @property
    def stands_in(self) -> bool:
        """Whether it is measured by us, in place of a number of the loop's that is in doubt."""
        return self.name == GAP or self.name.startswith(INDEPENDENT)


@dataclass(frozen=True, slots=True)
class Result:
    """What a run reached, in the metric's own unit.

    epochs: (S,) and values: (S,), every measured epoch
    final: mean of the last few epochs, or around the epoch whose weights were restored; NaN for a run that broke
    best:  best single epoch, at `best_epoch`
    """

    metric: Metric
    epochs: NDArray[np.int64]
    values: NDArray[np.float64]
    final: float
    best: float
    best_epoch: int


def choose(names: Collection[str], info: RunInfo | None = None, prefer: str | None = None) -> Metric:
    """The metric of a run that has these series: the user's own, else `prefer`, else accuracy or R², else a loss.

    Raises: AdvisorError where the user named one that never appeared, or nothing was measured.
    """
    if info is not None and info.metric is not None:
        if info.metric not in names:
            raise AdvisorError(
                f"the metric {info.metric!r} never appeared",
                context="advisor.watch(metric=…)",
                hint=f"log it with watch.log({info.metric}=…){_instead(info.metric, names)}",
            )
        return Metric(info.metric, info.mode or guess_mode(info.metric))
    if prefer is not None and prefer in names:
        return Metric(prefer, guess_mode(prefer))
    for name, mode in BY_DEFAULT:
        if name in names:
            return Metric(name, mode)
    raise AdvisorError(
        "nothing was measured that could be compared",
        context="metric",
        hint="pass val= and loss_fn= to advisor.watch, or log a number and name it with metric=",
    )


def _instead(name: str, names: Collection[str]) -> str:
    """What the user may have meant, or what is there in any case; a run has dozens of series, and few that judge it."""
    usual = [known for known, _ in BY_DEFAULT if known in names]
    found = difflib.get_close_matches(name, names, n=SUGGESTIONS, cutoff=0.6) or usual  # 0.6: difflib's own default
    return f", or use {' or '.join(found)}" if found else ""


def guess_mode(name: str) -> Mode:
    """Less is better for what is called a loss or an error, more for the rest."""
    return "min" if any(word in name.lower() for word in FALLING) else "max"


def result(record: Record, metric: Metric) -> Result:
    """What the run reached. Raises: AdvisorError where it has no value of the metric."""
    series = record.series.get(metric.name)
    if series is None or not len(series.steps):
        raise AdvisorError(f"run {record.info.id} has no {metric.name}", hint="it ended before the first measurement")
    last_of_epoch = {int(e): float(v) for e, v in zip(series.epochs, series.values[:, 0], strict=True)}
    epochs = np.array(sorted(last_of_epoch), dtype=np.int64)
    values = np.array([last_of_epoch[int(e)] for e in epochs])
    finite = np.isfinite(values)
    restored = record.facts.get("best_weights_epoch")
    if not finite[-1] or record.info.status == "failed" or _went_non_finite(record):
        final = float("nan")
    elif isinstance(restored, int) and restored in last_of_epoch:
        around = [last_of_epoch[e] for e in (restored - 1, restored, restored + 1) if e in last_of_epoch]
        final = float(np.mean(around))  # the epoch was chosen for its luck too; its neighbours were not
    else:
        final = float(values[-(LAST_EPOCHS if len(values) >= SHORT_RUN else 1) :].mean())
    if not finite.any():
        return Result(metric, epochs, values, final, float("nan"), int(epochs[-1]))
    best = int(np.nanargmax(np.where(finite, metric.sign * values, np.nan)))
    return Result(metric, epochs, values, final, float(values[best]), int(epochs[best]))


def all_non_finite(last: Mapping[str, tuple[int, float]]) -> bool:
    """Whether no loss of the newest epoch is a number: the weights are none either, and no later epoch mends them.

    One batch whose step was left out, by `GradScaler` or by the loop, spoils the mean training loss of its epoch and no
    weight: the validation loss of that epoch shows it.

    last: (epoch, value) with which each of `LOSSES` ends, as far as it is there
    """
    losses = list(last.values())
    newest = max((epoch for epoch, _ in losses), default=0)
    return bool(losses) and not any(math.isfinite(value) for epoch, value in losses if epoch == newest)


def _went_non_finite(record: Record) -> bool:
    ends = {name: s for name in LOSSES if (s := record.series.get(name)) is not None and len(s.steps)}
    last = {name: (int(s.epochs[-1]), float(s.values[-1, 0])) for name, s in ends.items()}
    return "first_non_finite" in record.facts and all_non_finite(last)
