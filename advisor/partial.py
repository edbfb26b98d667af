"""A record -> records that lack something of it, as runs in the wild do: a rule has to have an answer to each."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from advisor.record import Record, Series

SHORT_RUNS = range(1, 5)  # epochs: the lengths at which a window, a median or a half of the run is empty


def parts(record: Record, names: Collection[str]) -> Iterator[tuple[str, Record]]:
    """(what is missing, the rest) for each of the names that a rule reads; the others make no difference to it."""
    yield "everything", replace(record, series={}, facts={})
    yield "the task", replace(record, info=record.info.model_copy(update={"task": None}))
    for name in names:
        if name in record.series:
            others = {k: v for k, v in record.series.items() if k != name}
            yield f"the series {name}", replace(record, series=others)
            yield f"half of {name}, which is NaN", replace(record, series={**others, name: broken(record.series[name])})
        if name in record.facts:
            facts = {k: v for k, v in record.facts.items() if k != name}
            yield f"the fact {name}", replace(record, facts=facts)
            yield f"the value of the fact {name}", replace(record, facts={**facts, name: None})
    for epochs in SHORT_RUNS:
        short = {k: first(v, epochs) for k, v in record.series.items()}
        yield f"all but {epochs} epoch(s)", replace(record, series=short)


def broken(series: Series) -> Series:
    """The same with NaN from its middle on."""
    values = series.values.copy()
    values[len(values) // 2 :] = float("nan")
    return replace(series, values=values)


def first(series: Series, epochs: int) -> Series:
    """The samples of the first epochs."""
    kept = series.epochs < epochs
    return replace(series, steps=series.steps[kept], epochs=series.epochs[kept], values=series.values[kept])
