"""One run of a store -> a value that can be sent to another machine -> the same run in a store there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from advisor.record import Json, RunInfo, Sample
from advisor.store import Store


@dataclass(frozen=True, slots=True)
class Packed:
    """All rows of a run; info has the id of the store that it comes from."""

    info: RunInfo
    rows: tuple[Sample, ...]
    axes: Mapping[str, tuple[str, ...]]
    facts: Mapping[str, Json]
    problems: tuple[str, ...]
    diagnosis: str | None


def pack(store: Store, run: int) -> Packed:
    record = store.record(run)
    rows = [
        Sample(series.name, series.phase, int(step), int(epoch), values)
        for series in record.series.values()
        for step, epoch, values in zip(series.steps, series.epochs, series.values, strict=True)
    ]
    axes = {series.name: series.axis for series in record.series.values()}
    return Packed(record.info, tuple(rows), axes, dict(record.facts), record.problems, store.diagnosis(run))


def unpack(store: Store, packed: Packed) -> int:
    """Enter it; its id here."""
    number = store.add_run(packed.info)
    store.write(
        packed.info.model_copy(update={"id": number}),
        packed.rows,
        new_axes=packed.axes,
        new_facts=packed.facts,
        problems=packed.problems,
        diagnosis=packed.diagnosis,
    )
    return number
