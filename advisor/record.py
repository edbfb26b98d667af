"""What a run leaves behind: numbers, facts and what made it -> pandas frames. No tensor, nothing pickled.

A record is a set of *series*. A series has one name, one phase and one axis:

    name            phase         axis            one sample per
    step_loss       step          -               sampled step
    grad_norm       step          layer           sampled step
    lr              step          param_group     sampled step
    train_loss      train         -               epoch
    val_loss        val           -               epoch
    clean_train_*   clean_train   - or layer      epoch (eval mode, no augmentation of ours, fixed samples)
    anything        log           -               call of `watch.log`
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, JsonValue

if TYPE_CHECKING:
    import pandas as pd

Json = JsonValue  # None, bool, int, float, str, and lists and dicts of them
Phase = Literal["step", "train", "val", "clean_train", "log"]
Status = Literal["running", "finished", "stopped", "interrupted", "failed", "pruned"]
Task = Literal["multiclass", "binary", "regression"]

LAUNCHER = "ADVISOR_LAUNCHER"  # environment variable: the process of the `advisor run` that started this one
MOST_SAMPLES = 2000  # of one series; DESIGN.md: a million steps load in under a second


class Layer(BaseModel):
    """A module that owns parameters itself, in the order of `model.named_modules()`."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str  # class name, e.g. "Linear"
    parameters: int
    trainable: bool = True


class RunInfo(BaseModel):
    """What made a run and how it ended."""

    model_config = ConfigDict(frozen=True)

    id: int = 0  # 0: not in a store
    name: str = ""  # the script's file name, or the function's
    status: Status = "running"
    error: str | None = None  # what the user's code raised, one line
    started: float = 0.0  # s since 1970
    ended: float | None = None
    script: str | None = None  # absolute path
    source: str | None = None
    source_hash: str | None = None  # sha256 of source
    command: tuple[str, ...] = ()
    directory: str = ""  # working directory
    seed: int | None = None  # shift that a trial added to the script's own seeds
    plan: dict[str, Json] | None = None  # Plan.model_dump()
    versions: dict[str, str] = {}
    device: str = "cpu"
    host: str = ""
    pid: int = 0
    process: str = ""  # `processes.mark` of pid
    launcher: int | None = None  # pid of the `advisor run` that the run belongs to
    epochs: int | None = None  # as planned by the loop; None for an endless one
    step_based: bool = False  # the loop counts steps; an "epoch" below is then a window of steps
    metric: str | None = None  # as given by the user
    mode: Literal["min", "max"] | None = None
    task: Task | None = None
    layers: tuple[Layer, ...] = ()
    session: int | None = None  # of `advisor fix`
    trial: int | None = None

    @property
    def seconds(self) -> float:
        """Wall time of the run so far; NaN where it never said."""
        return (self.ended or math.nan) - self.started


@dataclass(frozen=True, slots=True)
class Sample:
    """One row: the values of a series at one step. `values` has the length of the axis."""

    name: str
    phase: Phase
    step: int
    epoch: int
    values: NDArray[np.float32]


@dataclass(slots=True)
class Series:
    """All samples of one name, in order of time.

    steps, epochs: (S,); values: (S, K) with K = len(axis), K = 1 and axis ("",) for a scalar.
    """

    name: str
    phase: Phase
    axis: tuple[str, ...]
    steps: NDArray[np.int64]
    epochs: NDArray[np.int64]
    values: NDArray[np.float32]

    @property
    def at(self) -> NDArray[np.int64]:
        """What a reader counts in: steps for a series by step, epochs for one by epoch."""
        return self.steps if self.phase in ("step", "log") else self.epochs


@dataclass(frozen=True)
class Record:
    """One run, read-only."""

    info: RunInfo
    series: Mapping[str, Series] = field(default_factory=dict)
    facts: Mapping[str, Json] = field(default_factory=dict)
    problems: tuple[str, ...] = ()  # exceptions inside advisor, one line each: an instrument that was detached

    def __contains__(self, name: str) -> bool:
        return name in self.series

    @property
    def last_step(self) -> int:
        return max((int(s.steps[-1]) for s in self.series.values() if len(s.steps)), default=0)

    @property
    def epochs_seen(self) -> int:
        """Number of complete epochs."""
        by_epoch = [s for s in self.series.values() if s.phase in ("train", "val", "clean_train")]
        return max((int(s.epochs[-1]) + 1 for s in by_epoch if len(s.epochs)), default=0)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row an epoch, one column a scalar series: `train_loss`, `val_accuracy`, …; index `epoch`."""
        return self._frame({"train", "val", "clean_train"}, "epoch")

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row a sampled step, one column a scalar series, what `watch.log` added among them; index `step`."""
        return self._frame({"step", "log"}, "step")

    @cached_property
    def layers(self) -> pd.DataFrame:
        """Long form of the series with an axis: columns `name`, `step`, `epoch`, `layer`, `value`."""
        import pandas as pd

        parts = [
            pd.DataFrame(
                {
                    "name": s.name,
                    "step": np.repeat(s.steps, len(s.axis)),
                    "epoch": np.repeat(s.epochs, len(s.axis)),
                    "layer": np.tile(np.array(s.axis, dtype=object), len(s.steps)),
                    "value": s.values.reshape(-1),
                }
            )
            for s in self.series.values()
            if len(s.axis) > 1
        ]
        columns = ["name", "step", "epoch", "layer", "value"]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

    def _frame(self, phases: set[str], by: Literal["epoch", "step"]) -> pd.DataFrame:
        import pandas as pd

        columns = {
            s.name: pd.Series(s.values[:, 0], index=s.epochs if by == "epoch" else s.steps)
            for s in self.series.values()
            if s.phase in phases and len(s.axis) == 1
        }
        columns = {name: c[~c.index.duplicated(keep="last")] for name, c in columns.items()}
        frame = pd.DataFrame(columns)
        frame.index.name = by
        return frame.sort_index()


@dataclass
class Buffer:
    """A series while it grows, thinned so that it never holds more than `MOST_SAMPLES` rows.

    Thinning keeps the rows whose index (step, or epoch) is a multiple of `stride`, and doubles `stride` when full.
    """

    name: str
    phase: Phase
    axis: tuple[str, ...]
    rows: list[tuple[int, int, NDArray[np.float32]]] = field(default_factory=list)
    stride: int = 1

    def index(self, step: int, epoch: int) -> int:
        return step if self.phase == "step" else epoch if self.phase != "log" else step

    def keeps(self, step: int, epoch: int) -> bool:
        return self.index(step, epoch) % self.stride == 0

    def add(self, step: int, epoch: int, values: NDArray[np.float32]) -> bool:
        """Take a row; True where the series was thinned by it."""
        if not self.keeps(step, epoch):
            return False
        self.rows.append((step, epoch, values))
        thinned = False
        while len(self.rows) > MOST_SAMPLES:
            self.stride *= 2
            self.rows = [row for row in self.rows if self.keeps(row[0], row[1])]
            thinned = True
        return thinned

    def series(self) -> Series:
        steps = np.array([row[0] for row in self.rows], dtype=np.int64)
        epochs = np.array([row[1] for row in self.rows], dtype=np.int64)
        values = np.full((len(self.rows), len(self.axis)), np.nan, np.float32)
        for place, row in enumerate(self.rows):  # shorter before the axis grew, as by `optimizer.add_param_group`
            values[place, : len(row[2])] = row[2]
        return Series(self.name, self.phase, self.axis, steps, epochs, values)


def gather(samples: Sequence[Sample], axes: Mapping[str, tuple[str, ...]]) -> dict[str, Series]:
    """Rows in order of time -> series by name."""
    buffers: dict[str, Buffer] = {}
    for sample in samples:
        buffer = buffers.get(sample.name)
        if buffer is None:
            buffer = buffers[sample.name] = Buffer(sample.name, sample.phase, axes.get(sample.name, ("",)))
        buffer.rows.append((sample.step, sample.epoch, sample.values))
    return {name: buffer.series() for name, buffer in buffers.items()}


def scalars(record: Record, name: str) -> Iterator[tuple[int, float]]:
    """(step or epoch, value) of a scalar series; nothing where the record lacks it."""
    series = record.series.get(name)
    if series is not None:
        yield from zip(series.at.tolist(), series.values[:, 0].tolist(), strict=True)
