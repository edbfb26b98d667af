"""Which strategy repairs more, and after how many trials: from the rows of the fix benchmark and its stores.

    ADVISOR_STORE=$PWD/rules.db python DIR/run.py fix --budget 20 --json rules.json
    ADVISOR_STORE=$PWD/tpe.db python DIR/run.py fix --budget 20 --strategy tpe --json tpe.json
    python tests/bench/repairs.py rules.json tpe.json

DIR is the folder of the benchmark; a JSON file of it and the store beside it (same name, `.db`) are a strategy. A trial
is a plan that was tried, whatever it took; trainings count what it took: in multiples of the program's own, baseline
and confirmation included. A program that is not repaired counts as never: its trials are those that the budget allowed.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from advisor.plan import Plan
from advisor.session import FixSession
from advisor.store import Store

MARKS = (1, 2, 3, 5, 8, 12)  # trials at which the curve is read
SPENT = (12, 13, 14, 16, 18, 20)  # trainings likewise: six of the baseline and five of a confirmation come first


@dataclass(frozen=True)
class Repair:
    """One program under one strategy. plans, trainings: until the plan that was kept last was confirmed."""

    case: str
    verdict: str
    plans: int
    trainings: float

    @property
    def repaired(self) -> bool:
        return self.verdict == "repaired"


def read(path: Path) -> tuple[str, list[Repair]]:
    """The closing line of the benchmark, and its faulty programs; sessions come in the order of the rows."""
    document = json.loads(path.read_text(encoding="utf-8"))
    store = Store(str(path.with_suffix(".db")), create=False)
    sessions = [FixSession.model_validate_json(text) for _, _, text in store.session_documents()]
    rows = document["rows"]
    if len(rows) != len(sessions):
        raise SystemExit(f"{path}: expected a session a row, found {len(sessions)} sessions and {len(rows)} rows")
    found = []
    for row, session in zip(rows, sessions, strict=True):
        if row["case"].startswith("healthy"):
            continue
        plans, trainings = cost(session)
        found.append(Repair(row["case"], row["verdict"], plans, trainings))
    return document["summary"], found


def cost(session: FixSession) -> tuple[int, float]:
    """(plans tried, trainings spent) until the last training of what was kept; all of them where nothing was."""
    ended = [i for i, training in enumerate(session.trainings) if session.plan and training.plan == session.plan]
    until = session.trainings[: ended[-1] + 1] if ended else session.trainings
    plans = {str(training.plan) for training in until if training.plan != Plan()}
    return len(plans), sum(training.cost for training in until)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="of run.py fix --json")
    given = {path.stem: read(path) for path in parser.parse_args().files}
    for name, (summary, _) in given.items():
        print(f"{name:10} {summary}")
    for title, marks, of in (
        ("plans tried", MARKS, lambda r: r.plans),
        ("trainings spent", SPENT, lambda r: r.trainings),
    ):
        print(f"\nprograms repaired after so many {title}\n{'':10} " + " ".join(f"{mark:>5}" for mark in marks))
        for name, (_, rows) in given.items():
            counts = [sum(r.repaired and of(r) <= mark + 1e-9 for r in rows) for mark in marks]
            print(f"{name:10} " + " ".join(f"{count:>5}" for count in counts))
    first, *others = given
    for other in others:
        ours = {r.case: r for r in given[first][1] if r.repaired}
        theirs = {r.case: r for r in given[other][1] if r.case in ours}
        shares = [ours[case].plans / max(1, theirs[case].plans) for case in theirs]
        both = [ours[case].plans / max(1, r.plans) for case, r in theirs.items() if r.repaired]
        print(
            f"\n{first}: its repairs take {statistics.median(shares):.2f} of the plans that {other} tried (median over "
            f"{len(shares)} programs, its failures at what they tried), {statistics.median(both) if both else 0:.2f} "
            f"where {other} repaired too ({len(both)})"
        )


if __name__ == "__main__":
    main()
