"""A record -> the read-only numbers that rules ask for, by name. A name that was not measured raises `Missing`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from advisor.record import Json, Record, RunInfo, Series

T = TypeVar("T", bound=Json)
SCORES = {"multiclass": "accuracy", "binary": "accuracy", "regression": "r2"}


class Missing(LookupError):
    """This run has no such number."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A scalar over time. at: (S,) epochs, or steps for a series by step; values: (S,)."""

    at: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def first(self) -> float:
        return float(self.values[0])

    @property
    def last(self) -> float:
        return float(self.values[-1])


@dataclass(frozen=True, slots=True)
class Layers:
    """A number a layer (or param_group) over time. steps: (S,); names: (K,); values: (S, K)."""

    steps: NDArray[np.int64]
    names: tuple[str, ...]
    values: NDArray[np.float64]


class Evidence:
    """What rules see of one run.

    Names are those of the record's series and facts. Three are aliases that spare a rule the task:
    `train_score`, `val_score` and `clean_train_score` are accuracy for a classification and R² for a regression.

        run.curve("val_loss").values[-1]      run.layers("grad_norm").names      run.fact("batch_size")
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self.used: set[str] = set()

    @property
    def info(self) -> RunInfo:
        return self._record.info

    @property
    def epochs(self) -> int:
        """Complete epochs (windows of steps in a loop that counts steps)."""
        return self._record.epochs_seen

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return self._record.last_step

    @property
    def read(self) -> set[str]:
        """The names that were asked for, as the record spells them."""
        return {self._name(name) for name in self.used}

    def has(self, name: str) -> bool:
        """Whether the run has this series or fact."""
        self.used.add(name)
        return self._name(name) in self._record.series or name in self._record.facts

    def curve(self, name: str) -> Curve:
        """A scalar series. Raises: Missing."""
        series = self._series(name)
        return Curve(series.at, series.values[:, 0].astype(np.float64))

    def layers(self, name: str) -> Layers:
        """A series with an axis. Raises: Missing."""
        series = self._series(name)
        return Layers(series.steps, series.axis, series.values.astype(np.float64))

    def fact(self, name: str) -> Json:
        """A fact. Raises: Missing."""
        self.used.add(name)
        if name not in self._record.facts:
            raise Missing(name)
        return self._record.facts[name]

    def number(self, name: str) -> float:
        """A fact that is a number. Raises: Missing, also where it is something else."""
        value = self.fact(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Missing(name)
        return float(value)

    def table(self, name: str) -> dict[str, Json]:
        """A fact that is a table, such as the result of a probe. Raises: Missing, also where it is something else."""
        value = self.fact(name)
        if not isinstance(value, dict):
            raise Missing(name)
        return value

    def entry(self, name: str, key: str, otherwise: float | None = None) -> float:
        """A number in a table. Raises: Missing, also where it is something else, unless there is an `otherwise`."""
        value = self.table(name).get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            if otherwise is None:
                raise Missing(f"{name}.{key}")
            return otherwise
        return float(value)

    def names(self, name: str) -> tuple[str, ...]:
        """A fact that is a list of names, such as layers. Raises: Missing, also where it is something else."""
        value = self.fact(name)
        if not isinstance(value, list):
            raise Missing(name)
        return tuple(map(str, value))

    def _series(self, name: str) -> Series:
        self.used.add(name)
        series = self._record.series.get(self._name(name))
        if series is None or not len(series.steps):
            raise Missing(name)
        return series

    def _name(self, name: str) -> str:
        phase, _, last = name.rpartition("_")
        if last == "score" and phase in ("train", "val", "clean_train"):
            return f"{phase}_{SCORES.get(self.info.task or '', 'accuracy')}"
        return name
