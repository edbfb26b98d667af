"""Ask all rules about the corpus: how often they are right, and how sure they may say they are.

    python tests/bench/corpus/calibrate.py            # print, and write rules/_confidence.json
    python tests/bench/corpus/calibrate.py --dry      # print only
    python tests/bench/corpus/calibrate.py --dry --misses   # and each run whose first finding is not right

The programs are split into halves by their base (data set, network and optimizer), so that no program is in both.
Confidence is fitted on the first half: of the findings that a rule gave with a certain confidence, the share that was
right. What is printed of the second half is what those numbers are worth on programs that they have not seen.
"""

from __future__ import annotations

import argparse
import gzip
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from faults import FAULTS

from advisor import calibration
from advisor.diagnosis import Diagnosis, diagnose
from advisor.evidence import Evidence
from advisor.rulebook import load_rules, own_folder
from advisor.snapshot import from_json

HERE = Path(__file__).parent
RECORDS = HERE / "records.jsonl.gz"
BINS = (0.0, 0.5, 0.7, 0.85, 0.95, 1.001)


@dataclass(frozen=True)
class Run:
    base: str
    fault: str | None
    diagnosis: Diagnosis

    @property
    def fitted(self) -> bool:
        """Whether it belongs to the half that confidence is fitted on."""
        return zlib.crc32(self.base.encode()) % 2 == 0

    @property
    def accepted(self) -> frozenset[str]:
        if self.fault is None:
            return frozenset()
        fault = FAULTS[self.fault]
        return frozenset((fault.rule, *fault.also))

    @property
    def causes(self) -> list[tuple[str, float]]:
        """Findings that no other one explains: (rule, confidence)."""
        return [(f.rule, f.confidence) for f in self.diagnosis.findings if f.explained_by is None]


def load(counts: calibration.Counts) -> list[Run]:
    """Every run of the corpus that counts, with its diagnosis at these confidences."""
    rules = load_rules(counts=counts)
    runs = []
    with gzip.open(RECORDS, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if row["counts"]:
                record = from_json(json.dumps(row["record"]), RECORDS.name)
                runs.append(Run(row["base"], row["fault"], diagnose(Evidence(record), rules)))
    return runs


def fit(runs: list[Run]) -> dict[str, dict[str, list[int]]]:
    """rule -> confidence as it says -> [right, wrong], on the first half."""
    counts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for run in runs:
        if run.fitted:
            for rule, said in run.causes:
                counts[rule][calibration.key(said)][rule not in run.accepted] += 1
    return {rule: dict(sorted(cells.items())) for rule, cells in sorted(counts.items())}


def reliability(runs: list[Run]) -> list[str]:
    """A line a bin of the second half: how many findings, how sure they were on average, how many were right."""
    found: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for run in runs:
        if not run.fitted:
            for rule, said in run.causes:
                place = max(i for i, low in enumerate(BINS) if said >= low)
                found[place].append((said, rule in run.accepted))
    lines = []
    for place, pairs in sorted(found.items()):
        said = sum(p for p, _ in pairs) / len(pairs)
        right = sum(r for _, r in pairs) / len(pairs)
        high = min(1.0, BINS[place + 1])
        lines.append(f"{BINS[place]:.2f} to {high:.2f}: {len(pairs):4} findings, said {said:.3f}, right {right:.3f}")
    return lines


def summary(runs: list[Run]) -> str:
    faulty = [run for run in runs if run.fault is not None]
    sound = [run for run in runs if run.fault is None]
    tops = [(run, run.diagnosis.top.rule if run.diagnosis.top else "") for run in faulty]
    strict = sum(top == FAULTS[str(run.fault)].rule for run, top in tops)
    lenient = sum(top in run.accepted for run, top in tops)
    alarms = sum(bool(run.diagnosis.findings) for run in sound)
    return f"strict {strict}/{len(faulty)} lenient {lenient}/{len(faulty)} false alarms {alarms}/{len(sound)}"


def by_fault(runs: list[Run]) -> list[str]:
    """A line a fault: what came first, how often."""
    firsts: Mapping[str, Counter[str]] = defaultdict(Counter)
    for run in runs:
        firsts[run.fault or "sound"][run.diagnosis.top.rule if run.diagnosis.top else run.diagnosis.status] += 1
    return [
        f"{name:32} {', '.join(f'{rule} {n}' for rule, n in found.most_common())}" for name, found in firsts.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("--misses", action="store_true")
    options = parser.parse_args()
    runs = load({})
    counts = fit(runs)
    print("\n".join(by_fault(runs)))
    if options.misses:
        for run in runs:
            top = run.diagnosis.top
            if (top.rule if top else "") not in run.accepted and (run.fault is not None or top is not None):
                said = [(f.rule, f.confidence, f.message) for f in run.diagnosis.findings[:2]]
                print(f"{run.base} {run.fault}: {said or run.diagnosis.reason}")
    print(summary(runs))
    text = json.dumps(counts, indent=1)
    again = load({r: {k: (a, b) for k, (a, b) in cells.items()} for r, cells in counts.items()})
    print("the half that was not fitted:", summary([run for run in again if not run.fitted]))
    print("\n".join(reliability(again)))
    if not options.dry:
        (own_folder() / calibration.FILE).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
