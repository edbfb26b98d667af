"""Runs made of arrays, and the stored records of the fixtures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from advisor import cases
from advisor.evidence import Evidence
from advisor.finding import Finding
from advisor.record import Json, Layer, Phase, Record, RunInfo, Series, Task
from advisor.rulebook import Rule, load_rules

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"
RULES = load_rules(counts={})  # as the rules themselves say how sure they are
STEPS = 10  # an epoch
BY_STEP = {"step_loss", "lr", "grad_norm", "weight_norm", "update_ratio"}
PHASES: dict[str, Phase] = {"val": "val", "clean_train": "clean_train", "dead": "clean_train"}
GUESS: dict[str, Json] = {"loss": "cross_entropy", "classes": 10, "chance_score": 0.1}
FALLING = [2.3, 1.0, 0.5, 0.3]  # a training loss that comes down


def made(
    *,
    task: Task = "multiclass",
    epochs: int | None = None,
    layers: Sequence[tuple[str, str, int]] = (),
    step_based: bool = False,
    facts: Mapping[str, Json] | None = None,
    **series: ArrayLike,
) -> Evidence:
    """A run from its series: (S,) for a scalar, (S, K) for one by layer, one value an epoch (or a step).

    layers: (name, kind, parameters); the axis of a series with K columns is their names, else "0", "1", …
    """
    found = {name: _series(name, np.asarray(values, np.float32), layers) for name, values in series.items()}
    length = max(len(s.steps) for s in found.values() if s.phase != "step")
    info = RunInfo(
        task=task,
        status="finished",
        epochs=length if epochs is None else epochs,
        step_based=step_based,
        layers=tuple(Layer(name=name, kind=kind, parameters=n) for name, kind, n in layers),
    )
    return Evidence(Record(info, found, dict(facts or {})))


def fired(rule: str, run: Evidence) -> Finding:
    """What a rule found."""
    outcome = RULES[rule].run(run)
    assert outcome.result == "fired", outcome
    assert outcome.finding is not None
    return outcome.finding


def result(rule: str, run: Evidence) -> str:
    return RULES[rule].run(run).result


def stored(folder: str, name: str) -> Record:
    """The record of a fixture."""
    return cases.stored(FIXTURES / folder / f"{name}.json")


def healthy() -> list[str]:
    return sorted(path.stem for path in (FIXTURES / "healthy").glob("*.py"))


def twins(rule: Rule) -> tuple[Record, Record]:
    """(faulty, fixed)"""
    return stored(rule.name, "faulty"), stored(rule.name, "fixed")


def _series(name: str, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]], layers: object) -> Series:
    phase: Phase = "step" if name in BY_STEP else next((p for k, p in PHASES.items() if name.startswith(k)), "train")
    columns = values.reshape(len(values), -1)
    names = tuple(name for name, _, _ in layers) if isinstance(layers, Sequence) else ()
    axis = ("",) if values.ndim == 1 else names if len(names) == columns.shape[1] else _numbers(columns.shape[1])
    index = np.arange(len(values), dtype=np.int64)
    if phase == "step":
        return Series(name, phase, axis, index + 1, index // STEPS, columns)
    return Series(name, phase, axis, (index + 1) * STEPS, index, columns)


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))
