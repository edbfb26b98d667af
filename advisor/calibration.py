"""How sure a rule says that it is -> how often a finding like that was right, on programs whose fault is known.

`_confidence.json` in a folder of rules holds the counts: rule -> confidence as the rule gives it -> [right, wrong],
from `python tests/bench/corpus/calibrate.py`. A folder without it, such as a user's, keeps what its rules say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from advisor.errors import RuleError

FILE = "_confidence.json"
WEIGHT = 4.0  # runs that the rule's own word counts as: what fired twice says little yet, what fired forty times much

Counts = Mapping[str, Mapping[str, tuple[int, int]]]


def calibrated(counts: Counts, rule: str, said: float) -> float:
    """The share that was right, drawn towards what the rule says by the weight of `WEIGHT` runs.

    >>> calibrated({"overfitting": {"0.90": (30, 6)}}, "overfitting", 0.9)
    0.84
    >>> calibrated({}, "overfitting", 0.9)
    0.9
    """
    right, wrong = counts.get(rule, {}).get(key(said), (0, 0))
    return round((right + WEIGHT * said) / (right + wrong + WEIGHT), 3)


def key(said: float) -> str:
    return f"{said:.2f}"


def load_counts(folder: Path) -> Counts:
    """The counts of a folder of rules, empty where it has none. Raises: RuleError for a file that is something else."""
    path = folder / FILE
    return _load(path, path.stat().st_mtime_ns) if path.exists() else {}


@cache
def _load(path: Path, _changed: int) -> Counts:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {
            str(rule): {str(said): (int(right), int(wrong)) for said, (right, wrong) in cells.items()}
            for rule, cells in found.items()
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RuleError(
            f"expected counts as rule -> confidence -> [right, wrong]: {error}",
            context=str(path),
            hint="make it anew with tests/bench/corpus/calibrate.py, or delete it",
        ) from error
