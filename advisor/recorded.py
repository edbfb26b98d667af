"""A script -> the record of one run of it, in this process: what fixtures store."""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from advisor.assignment import Assignment, assign
from advisor.experiments.data_fractions import FRACTIONS, extrapolate, subset_plan
from advisor.metric import choose, result
from advisor.plan import Plan
from advisor.probes import known_probes
from advisor.record import Record
from advisor.rulebook import Rule
from advisor.seeds import shift_of, shift_seeds
from advisor.store import Store

DATA_FRACTIONS = "probe.data_fractions"
SEEDS = (1, 2)  # beside 0: a spread needs more than one run


def record_for(script: Path, rule: Rule | None) -> Record:
    """What a run leaves behind, with the probes that the rule cannot do without, and trainings on parts of the data."""
    needed = {name.removeprefix("probe.") for name in rule.needs if name.startswith("probe.")} if rule else set()
    probes = tuple(sorted(needed & set(known_probes())))
    whole = record(script, probes=probes)
    reads = rule is not None and DATA_FRACTIONS in (*rule.needs, *rule.optional)
    return with_data_fractions(script, whole, probes=probes) if reads else whole


def record(script: Path, *, seed: int = 0, plan: Plan | None = None, probes: Sequence[str] = ()) -> Record:
    """What one run of a script left behind, as a trial would run it, on one thread: sums of several are not repeatable.

    Raises: whatever the script raises; StoreError where it never called `advisor.watch`.
    """
    with tempfile.TemporaryDirectory() as folder, _here(script), contextlib.redirect_stdout(io.StringIO()):
        path = str(Path(folder) / "advisor.db")
        assign(Assignment(plan=plan or Plan(), seed=seed, store=path, probes=tuple(probes), quiet=True))
        try:
            with shift_seeds(shift_of(seed)):
                runpy.run_path(str(script), run_name="__main__")
        finally:
            assign(None)
        store = Store(path)
        try:
            return store.record(1)
        finally:
            store.close()


def with_data_fractions(script: Path, whole: Record, *, probes: Sequence[str] = ()) -> Record:
    """The record with what `advisor fix` would find out by training on fractions of the data."""
    metric = choose(list(whole.series))
    parts = []
    for fraction in FRACTIONS:
        runs = [record(script, plan=subset_plan(fraction), seed=seed) for seed in SEEDS]
        parts.append([result(run, metric).final for run in runs])
    again = [record(script, seed=seed, probes=probes) for seed in SEEDS]
    full = [result(run, metric).final for run in (whole, *again)]
    probe = extrapolate([*FRACTIONS, 1.0], [*parts, full], metric)
    return replace(whole, facts={**whole.facts, DATA_FRACTIONS: probe})


@contextlib.contextmanager
def _here(script: Path) -> Iterator[None]:
    """Imports and threads as when the script is run by itself; then as before: its neighbours are its own."""
    before, modules, threads = list(sys.path), set(sys.modules), torch.get_num_threads()
    sys.path.insert(0, str(script.parent))
    torch.set_num_threads(1)
    try:
        yield
    finally:
        sys.path[:] = before
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and Path(file).is_relative_to(script.parent):
                del sys.modules[name]
        torch.set_num_threads(threads)
