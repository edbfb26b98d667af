"""Folders of rules and of fixtures -> what a rule is checked on: its twins, and runs that are healthy.

    my_rules/
      too_slow.py                       the rule
      fixtures/too_slow/faulty.py       a script with the fault, and the same without it; they differ by one line
                        fixed.py
                        faulty.json     what a run of each left behind
                        fixed.json
      fixtures/healthy/*.json           optional: healthy runs of your own, beside those that come with advisor

The folder of our own rules has its `fixtures` beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from advisor.errors import RuleError
from advisor.record import Record
from advisor.rulebook import Rule, own_folder
from advisor.snapshot import from_json

TWINS = ("faulty", "fixed")
HEALTHY = "healthy"


@dataclass(frozen=True)
class Cases:
    """What rules are checked on.

    rules:   all that are asked together, by name
    root:    the folder whose `fixtures/` holds the twins of the rules that are checked
    records: by folder and stem, such as "too_slow/faulty" or "healthy/one_cycle"
    """

    rules: Mapping[str, Rule]
    root: Path
    records: Mapping[str, Record]

    @property
    def healthy(self) -> dict[str, Record]:
        """Runs on which no rule may fire."""
        return {name: record for name, record in self.records.items() if name.startswith(f"{HEALTHY}/")}

    def twins(self, rule: Rule) -> tuple[Record, Record] | None:
        """(faulty, fixed); None where one of them was never run."""
        faulty, fixed = (self.records.get(f"{rule.name}/{twin}") for twin in TWINS)
        return None if faulty is None or fixed is None else (faulty, fixed)

    def scripts(self, rule: Rule) -> tuple[Path, Path]:
        """(faulty.py, fixed.py), whether they are there or not."""
        folder = self.root / "fixtures" / rule.name
        return folder / "faulty.py", folder / "fixed.py"


def root_of(folder: Path) -> Path:
    """Where the `fixtures` of a folder of rules are: in it; beside it for the rules that come with advisor."""
    return folder.parent if folder.resolve() == own_folder() else folder


def load_cases(rules: Mapping[str, Rule], root: Path) -> Cases:
    """The records below `root`, and our healthy ones. Raises: AdvisorError for a file that is no record."""
    found = {f"{HEALTHY}/{path.stem}": path for path in sorted(healthy_folder().glob("*.json"))}
    found |= {f"{path.parent.name}/{path.stem}": path for path in sorted((root / "fixtures").glob("*/*.json"))}
    return Cases(rules, root, {name: stored(path) for name, path in found.items()})


def stored(path: Path) -> Record:
    """The record in a file, read again where the file has changed. Raises: AdvisorError."""
    return _stored(path, path.stat().st_mtime_ns)


@cache
def _stored(path: Path, _changed: int) -> Record:
    return from_json(path.read_text(encoding="utf-8"), str(path))


def healthy_folder() -> Path:
    """The healthy runs that come with advisor: inside the wheel, or beside the package in a checkout."""
    here = Path(__file__).resolve().parent
    for folder in _places(here):
        if folder.is_dir():
            return folder
    raise RuleError("the healthy runs that come with advisor are missing", context=str(here), hint="install it again")


def _places(here: Path) -> Iterator[Path]:
    yield here / "fixtures" / HEALTHY
    yield here.parent / "fixtures" / HEALTHY
