"""Numbers from a running loop -> the store, in windows: one copy from the device, one transaction, thinned."""

from __future__ import annotations

import getpass
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from advisor.errors import StoreError
from advisor.record import Buffer, Json, Phase, Record, RunInfo, Sample
from advisor.store import Store

FLUSH_EVERY = 1.0  # s between transactions: a live screen feels live, and a flush of 2 ms costs 0.2 %
MOST_PROBLEMS = 20  # internal errors that a record lists: more of them say no more


class Recorder:
    """The record of a run while it grows. Only `settle` copies from the device; only `flush` writes."""

    def __init__(self, info: RunInfo, url: str | None) -> None:
        self.buffers: dict[str, Buffer] = {}
        self.facts: dict[str, Json] = {}
        self.problems: list[str] = []
        self.warning: str | None = None  # why the last window is not in the store
        self.store, number, self.moved = _begin(url, info)  # `moved`: why it is in another store than was asked for
        self._waiting: list[tuple[str, Phase, int, int, Tensor]] = []
        self._rows: list[Sample] = []
        self._new_axes: dict[str, tuple[str, ...]] = {}
        self._new_facts: dict[str, Json] = {}
        self._thinned: dict[str, tuple[str, int]] = {}
        self._flushed = time.monotonic()
        self._diagnosis: str | None = None
        self.info = info.model_copy(update={"id": number})

    def add(
        self,
        name: str,
        phase: Phase,
        step: int,
        epoch: int,
        values: Tensor | Sequence[float],
        axis: tuple[str, ...] = ("",),
    ) -> None:
        """Take one sample. A tensor of shape () or (K,) stays on its device until the window ends."""
        if name not in self.buffers:
            self.buffers[name] = Buffer(name, phase, axis)
            self._new_axes[name] = axis
        elif len(axis) > len(self.buffers[name].axis):
            self.buffers[name].axis = self._new_axes[name] = axis
        if isinstance(values, Tensor):
            self._waiting.append((name, phase, step, epoch, values.detach()))
        else:
            self._keep(Sample(name, phase, step, epoch, np.asarray(values, dtype=np.float32)))

    def fact(self, name: str, value: Json) -> None:
        """Set a fact; it is written where it is new or has changed."""
        if name not in self.facts or self.facts[name] != value:
            self.facts[name] = value
            self._new_facts[name] = value

    def problem(self, where: str, error: BaseException) -> None:
        """Note an exception inside advisor."""
        if len(self.problems) < MOST_PROBLEMS:
            frames = traceback.extract_tb(error.__traceback__)
            at = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
            self.problems.append(f"{where}: {type(error).__name__}: {error}{at}")

    def settle(self) -> None:
        """Bring what waits on devices over, in one copy a device."""
        waiting, self._waiting = self._waiting, []
        by_device: dict[torch.device, list[tuple[str, Phase, int, int, Tensor]]] = {}
        for item in waiting:
            by_device.setdefault(item[4].device, []).append(item)
        for items in by_device.values():
            flat = torch.cat([item[4].reshape(-1).float() for item in items]).cpu().numpy()
            ends = np.cumsum([item[4].numel() for item in items])
            for (name, phase, step, epoch, _), values in zip(items, np.split(flat, ends[:-1]), strict=True):
                self._keep(Sample(name, phase, step, epoch, values))

    def flush(self, *, force: bool = False, diagnosis: str | None = None) -> None:
        """Write the window where it is due. A store that is busy is tried again with the next window."""
        if not force and time.monotonic() - self._flushed < FLUSH_EVERY:
            return
        self.settle()
        self._flushed = time.monotonic()
        self._diagnosis = diagnosis
        if self.store is None:
            return
        try:
            self.store.write(
                self.info,
                self._rows,
                new_axes=self._new_axes,
                new_facts=self._new_facts,
                thinned=self._thinned,
                problems=self.problems,
                diagnosis=diagnosis,
            )
        except StoreError as error:
            self.warning = str(error)
            return
        self.warning = None
        self._rows, self._new_axes, self._new_facts, self._thinned = [], {}, {}, {}

    def record(self) -> Record:
        """What is known so far."""
        self.settle()
        series = {name: buffer.series() for name, buffer in self.buffers.items() if buffer.rows}
        return Record(self.info, series, dict(self.facts), tuple(self.problems))

    def rescue(self) -> Path | None:
        """Where the last window is not in the store: the whole record in a store of its own, and where that is.

        Raises: StoreError, OSError where there is no room for that either.
        """
        if self.warning is None and self.store is not None:
            return None
        path = _fallback_folder() / f"run-{int(self.info.started)}-{self.info.pid}.db"
        self.settle()
        store = Store(str(path))
        self.info = self.info.model_copy(update={"id": store.add_run(self.info)})
        found = self.buffers.values()
        store.write(
            self.info,
            [Sample(b.name, b.phase, step, epoch, values) for b in found for step, epoch, values in b.rows],
            new_axes={b.name: b.axis for b in found},
            new_facts=self.facts,
            problems=self.problems,
            diagnosis=self._diagnosis,
        )
        store.close()
        return path

    def _keep(self, sample: Sample) -> None:
        buffer = self.buffers[sample.name]
        if not buffer.keeps(sample.step, sample.epoch):
            return
        self._rows.append(sample)
        if buffer.add(sample.step, sample.epoch, _owned(sample.values)):
            column = "step" if buffer.phase in ("step", "log") else "epoch"
            self._thinned[sample.name] = (column, buffer.stride)
            self._rows = [r for r in self._rows if r.name != sample.name or buffer.keeps(r.step, r.epoch)]


def _owned(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy, where the values are a view that would keep a whole window alive."""
    return values.copy() if values.base is not None else values


def _begin(url: str | None, info: RunInfo) -> tuple[Store | None, int, str | None]:
    """A store that has a row for the run, its id there, and why it is not the store that was asked for.

    The other one is in the temporary folder, so that the record of a long run is not lost.
    """
    try:
        return *_with_run(url, info), None
    except StoreError as error:
        moved = str(error)
    try:
        return *_with_run(str(_fallback_folder() / "advisor.db"), info), moved
    except (StoreError, OSError):
        return None, 0, moved


def _with_run(url: str | None, info: RunInfo) -> tuple[Store, int]:
    store = Store(url)
    try:
        return store, store.add_run(info)
    except StoreError:
        store.close()
        raise


def _fallback_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"advisor-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
