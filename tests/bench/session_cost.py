"""What a fix session costs beside the trainings. The bars: a trial starts in 0.1 s, all but training is under 5 %.

    FASHION_MNIST=DIR python tests/bench/session_cost.py        # examples/case_study.py, about ten minutes on one core
    python tests/bench/session_cost.py examples/case_study.py --budget 14 -- --epochs 10

A real session of `fix`, one trial at a time; it searches where the script is healthy too. Every second of its wall
time goes into one of these:

    training    of the trials: the user's epochs by the clock that `watch` keeps, with its hooks and their share of the
                step (overhead.py), without what it does between epochs
    set-up      the script's own, from its first line to `advisor.watch`: imports, reading the data, building the model
    start       of the trials: from the fork to the user's first line
    epoch ends  in the trials, between the user's epochs: measuring, the clean pass
    probes      the same in the first run, which also makes the small experiments of `advisor.probes`, once in a session
    end         of the trials: from the end of the loop to the end of the process as the session sees it. The diagnosis
                of the run, the last window of the record, what the script does after its loop
    session     everything outside of trials: loading torch and the libraries of the script once, reading the records,
                choosing, the verdicts, the document of the session, the report

Not training is all but the first two; the set-up is the user's program too, and shown apart. Measure on a machine that
does nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from advisor.executors.local import LocalExecutor
from advisor.fixing import fix
from advisor.laboratory import Executor
from advisor.program import Program
from advisor.record import Record
from advisor.session import FixSession
from advisor.store import Store
from advisor.trial import Job, Ran

MOST_START, MOST_ELSE = 0.1, 0.05  # s; share of the session
PARTS = ("training", "set-up", "start", "epoch ends", "probes", "end")
SCRIPT = Path(__file__).parents[2] / "examples" / "case_study.py"


@dataclass(frozen=True, slots=True)
class Timed:
    """A trial and the wall clock (s since 1970) when it was asked for and when its result was there."""

    ran: Ran
    asked: float
    there: float


class Stopwatch:
    """An executor of one trial at a time that notes when each began and ended."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.trials: list[Timed] = []

    def run(self, jobs: Iterable[Job]) -> Iterator[Ran]:
        for job in jobs:
            asked = time.time()
            (ran,) = self._executor.run([job])
            self.trials.append(Timed(ran, asked, time.time()))
            yield ran


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("script", nargs="?", type=Path, default=SCRIPT)
    parser.add_argument("--budget", type=float, default=20)
    given = sys.argv[1:]
    cut = given.index("--") if "--" in given else len(given)  # what comes after it belongs to the script
    options, arguments = parser.parse_args(given[:cut]), tuple(given[cut + 1 :])
    if (data := os.environ.get("FASHION_MNIST")) is not None:
        os.environ["FASHION_MNIST"] = str(Path(data).absolute())  # the session has a working directory of its own
    parts, starts, session = measure(options.script.absolute(), arguments, options.budget)
    wall = sum(parts.values())
    found = [finding.rule for finding in session.diagnosis.findings] if session.diagnosis is not None else []
    print(f"{session.name}: {len(starts)} trainings, found {', '.join(found) or 'nothing'}; plan: {session.plan}")
    print("".join(f"note: {note}\n" for note in session.notes))
    print("| part | s | % of the session |\n|---|---|---|")
    for name, seconds in parts.items():
        print(f"| {name} | {seconds:.2f} | {100 * seconds / wall:.1f} |")
    rest = wall - parts["training"] - parts["set-up"]
    print(f"| all | {wall:.2f} | |\n\nnot training: {100 * rest / wall:.1f} % of the session")
    print(f"start of a trial: median {statistics.median(starts):.3f} s, largest {max(starts):.3f} s")
    met = rest < MOST_ELSE * wall and statistics.median(starts) < MOST_START
    print(f"under {MOST_START:g} s and under {MOST_ELSE:.0%}: {'yes' if met else 'NO'}")


def measure(
    script: Path, arguments: tuple[str, ...], budget: float
) -> tuple[dict[str, float], list[float], FixSession]:
    """The session's wall time by part, the seconds in which each trial started, and what came of it."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        began = time.time()
        store = Store(f"{folder}/advisor.db")
        with LocalExecutor(Program.from_script(script, arguments), f"{folder}/advisor.db") as local:
            watched = Stopwatch(local)
            with contextlib.redirect_stdout(io.StringIO()):  # the report is made, and not shown
                done = fix(script, arguments=arguments, store=store, executor=watched, budget=budget, force=True)
        wall = time.time() - began
        parts = dict.fromkeys(PARTS, 0.0)
        for trial in watched.trials:
            add(parts, trial, store.record(trial.ran.run) if trial.ran.run is not None else None)
        store.close()
    parts["session"] = wall - sum(parts.values())
    return parts, [trial.ran.start_seconds for trial in watched.trials], done.session


def add(parts: dict[str, float], trial: Timed, record: Record | None) -> None:
    """Divide one trial's time; one that never reached `watch` has trained nothing, and is start and end alone."""
    parts["start"] += trial.ran.start_seconds
    first_line = trial.asked + trial.ran.start_seconds
    if record is None or record.info.ended is None:
        parts["end"] += trial.there - first_line
        return
    info = record.info
    training = float(record.series["seconds"].values.sum()) if "seconds" in record.series else 0.0
    parts["set-up"] += info.started - first_line
    parts["training"] += training
    parts["probes" if trial.ran.job.probes else "epoch ends"] += info.ended - info.started - training
    parts["end"] += trial.there - info.ended


if __name__ == "__main__":
    main()
