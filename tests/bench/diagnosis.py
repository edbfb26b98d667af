"""How long a diagnosis takes: the record of a run of a million steps, as thinned as the store would keep it.

    python tests/bench/diagnosis.py

Every series of a stored healthy record is stretched to the 2,000 samples that a series may have, those by layer to the
62 layers of a ResNet-18. Loading the rules' files comes first, and is timed by itself.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from advisor.diagnosis import diagnose
from advisor.evidence import Evidence
from advisor.record import MOST_SAMPLES, Record, Series
from advisor.rulebook import load_rules
from advisor.snapshot import from_json

FIXTURE = Path(__file__).parents[2] / "fixtures" / "healthy" / "cosine_to_zero.json"
STEPS, LAYERS, REPEATS = 1_000_000, 62, 5


def stretched(series: Series) -> Series:
    """The same curve with as many samples as a long run keeps, and as many layers as a ResNet-18 has."""
    at = np.linspace(0, len(series.steps) - 1, MOST_SAMPLES).round().astype(int)
    values = series.values[at]
    axis = series.axis
    if series.name in ("grad_norm", "weight_norm", "update_ratio", "dead_units", "saturated_units", "activation_std"):
        values = np.tile(values, (1, LAYERS))[:, :LAYERS]
        axis = tuple(map(str, range(LAYERS)))
    steps = np.linspace(1, STEPS, MOST_SAMPLES).astype(np.int64)
    return replace(series, axis=axis, steps=steps, epochs=np.arange(MOST_SAMPLES), values=values)


def main() -> None:
    short = from_json(FIXTURE.read_text(encoding="utf-8"), str(FIXTURE))
    record = Record(short.info, {name: stretched(s) for name, s in short.series.items()}, short.facts)
    began = time.perf_counter()
    rules = load_rules()
    loaded = time.perf_counter() - began
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        found = diagnose(Evidence(record), rules)
        times.append(time.perf_counter() - began)
    print(f"{len(rules)} rules loaded in {loaded:.3f} s")
    print(f"diagnosis of {record.last_step:,} steps in {min(times):.3f} to {max(times):.3f} s ({REPEATS} times)")
    print(f"{found.status}; {found.counts}")


if __name__ == "__main__":
    main()
