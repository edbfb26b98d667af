"""A record -> JSON text, and back: what fixtures keep and bug reports carry, without where and when it was made."""

from __future__ import annotations

import json
import math

import numpy as np
from numpy.typing import NDArray

from advisor.errors import AdvisorError
from advisor.record import Json, Record, RunInfo, Series

VERSION = 1
DIGITS = 6  # significant decimal digits: about what float32 holds
PRIVATE = {
    "script", "source", "source_hash", "command", "directory", "host", "pid", "process", "started", "ended", "versions",
}  # fmt: skip
CLOCK = ("seconds", "samples_per_second", "memory")  # series that differ from run to run


def to_json(record: Record) -> str:
    """One line a series, so that a change shows in a diff."""
    head: dict[str, object] = {
        "version": VERSION,
        "info": record.info.model_dump(mode="json", exclude=PRIVATE, exclude_defaults=True),
        "facts": dict(record.facts),
        "problems": list(record.problems),
    }
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    series = [_line(s) for s in record.series.values() if s.name not in CLOCK]
    return "{\n" + ",\n".join([*lines, '"series": [\n' + ",\n".join(series) + "\n]"]) + "\n}\n"


def from_json(text: str, where: str = "record") -> Record:
    """Raises: AdvisorError where the text is no such record."""
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            raise AdvisorError(
                f"expected version {VERSION}, found {document['version']!r}", context=where, hint="make it anew"
            )
        facts: dict[str, Json] = document["facts"]
        series = {row["name"]: _series(row) for row in document["series"]}
        return Record(RunInfo.model_validate(document["info"]), series, facts, tuple(document["problems"]))
    except (ValueError, KeyError, TypeError) as error:
        raise AdvisorError(
            f"expected a record as JSON: {type(error).__name__}: {error}", context=where, hint="make it anew"
        ) from error


def _line(series: Series) -> str:
    values = [_short(v) for v in series.values.reshape(-1)]
    row = {
        "name": series.name,
        "phase": series.phase,
        "axis": list(series.axis),
        "steps": series.steps.tolist(),
        "epochs": series.epochs.tolist(),
        "values": values,
    }
    return json.dumps(row, separators=(",", ":"))


def _short(value: np.float32) -> float | str:
    number = float(value)
    return float(f"{number:.{DIGITS}g}") if math.isfinite(number) else str(number)


def _series(row: dict[str, object]) -> Series:
    axis = tuple(map(str, _list(row["axis"])))
    steps = np.array(_list(row["steps"]), dtype=np.int64)
    values: NDArray[np.float32] = np.array([float(v) for v in _list(row["values"])], dtype=np.float32)
    phase = row["phase"]
    if phase not in ("step", "train", "val", "clean_train", "log"):
        raise ValueError(f"no phase {phase!r}")
    epochs = np.array(_list(row["epochs"]), dtype=np.int64)
    return Series(str(row["name"]), phase, axis, steps, epochs, values.reshape(len(steps), len(axis)))


def _list(value: object) -> list[str | float]:
    if not isinstance(value, list):
        raise TypeError("expected a list")
    return value
