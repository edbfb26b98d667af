"""Run the programs of the corpus and keep their records.

    python tests/bench/corpus/make.py                # all of them: half an hour on two cores
    python tests/bench/corpus/make.py --only "decay" # those of a fault ("sound" for none), printed and not kept

A program is a data set, a network, an optimizer and a seed, with one fault or none. The sound ones run first; one
counts where it reaches nearly what the best program reaches on its data. Faults are put into those. A faulty program
counts where its fault is certain, or costs at least five points of the clean validation score.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import sys
import tempfile
import traceback
import warnings
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from data import SETS
from faults import FAULTS
from program import RATES, program, run

from advisor.snapshot import to_json

HERE = Path(__file__).parent
RECORDS = HERE / "records.jsonl.gz"
NETWORKS = {
    "table": ("mlp", "wide", "deep", "norm", "dropout"),
    "image": ("cnn", "cnn_norm"),
    "sequence": ("gru",),
    "tokens": ("transformer",),
}
BASES = 5  # programs a fault is put into: with some fifty faults several hundred runs
OPTIMIZERS = 2  # that each combination of data and network is run with
COSTS = 0.05  # of the score: what a fault must cost to be one, and what a sound program may fall short of the best
EPOCHS = {"words": 25, "waves": 15, "rows": 15, "images": 12, "wine": 30, "cancer": 15}


@dataclass(frozen=True)
class Spec:
    data: str
    network: str
    optimizer: str
    schedule: str | None
    seed: int
    fault: str | None

    @property
    def base(self) -> str:
        """What the halves are drawn by: all faults of a base lie in the same half."""
        return f"{self.data}/{self.network}/{self.optimizer}"


def bases() -> list[Spec]:
    """Every sound program, in an order that mixes data and networks but is always the same."""
    found = []
    for data, (kind, _, _) in SETS.items():
        for network in NETWORKS[kind]:
            for number, optimizer in enumerate(RATES):
                schedule = ("cosine", None, "step")[(number + len(network)) % 3]
                found.append(Spec(data, network, optimizer, schedule, number, None))
    return sorted(found, key=lambda spec: zlib.crc32(spec.base.encode()))


def sound() -> list[Spec]:
    counts: dict[tuple[str, str], int] = {}
    found = []
    for base in bases():
        place = (base.data, base.network)
        counts[place] = counts.get(place, 0) + 1
        if counts[place] <= OPTIMIZERS:
            found.append(base)
    return found


def faulty(among: list[Spec]) -> list[Spec]:
    """Each fault in some of the sound programs that it fits, not always the same ones."""
    found = []
    for number, (name, fault) in enumerate(FAULTS.items()):
        fits = [
            b
            for b in among
            if SETS[b.data][0] in fault.kinds
            and SETS[b.data][1] in fault.tasks
            and (not fault.networks or b.network in fault.networks)
        ]
        start = number * BASES % max(1, len(fits))
        found += [replace(base, fault=name) for base in (fits[start:] + fits[:start])[:BASES]]
    return found


def work(spec: Spec) -> tuple[Spec, str, float]:
    """Train one program: its record, and its clean validation score. "" for the record of one that raised."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ADVISOR_STORE"] = str(Path(folder) / "advisor.db")
        try:
            record, reached = run(_program(spec))
        except Exception:  # noqa: BLE001  one program that cannot be run is said, and does not lose the others
            print(f"{spec} raised\n{traceback.format_exc()}", file=sys.stderr, flush=True)
            return spec, "", 0.0
    return spec, to_json(record), reached


def _program(spec: Spec):
    made = program(
        spec.data,
        spec.network,
        spec.seed,
        optimizer=spec.optimizer,
        schedule=spec.schedule,
        epochs=EPOCHS.get(spec.data, 20),
    )
    if spec.fault is not None:
        FAULTS[spec.fault].spoil(made)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    lines = []
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=40) as pool:
        first = list(pool.imap_unordered(work, sound()))
        best = {data: max(score for spec, _, score in first if spec.data == data) for data in SETS}
        scores = {spec.base: score for spec, _, score in first}
        good = [spec for spec, _, score in sorted(first, key=lambda r: r[0].base) if score >= best[spec.data] - COSTS]
        lines += [_line(spec, record, score, counts=spec in good) for spec, record, score in first if record]
        wanted = [s for s in faulty(good) if options.only in (None, s.fault)]
        for spec, record, score in pool.imap_unordered(work, wanted):
            assert spec.fault is not None  # what `faulty` gave
            if not record:
                continue
            counts = FAULTS[spec.fault].certain or scores[spec.base] - score >= COSTS
            lines.append(_line(spec, record, score, counts=counts))
    if options.only is None:
        with gzip.GzipFile(RECORDS, "wb", mtime=0) as file:
            file.write("\n".join(sorted(lines)).encode())
        print(f"{len(lines)} runs, {RECORDS.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


def _line(spec: Spec, record: str, score: float, *, counts: bool) -> str:
    print(f"{spec.base:28} {spec.fault or 'sound':30} {score:.3f}{'' if counts else '  does not count'}", flush=True)
    line = {"base": spec.base, "fault": spec.fault, "counts": counts, "score": score, "record": json.loads(record)}
    return json.dumps(line, separators=(",", ":"), sort_keys=True)


if __name__ == "__main__":
    main()
