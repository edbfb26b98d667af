"""Early stopping of losers: the epochs that it saves, and that it changes no winner. The bar: 30 % of a session.

    python tests/bench/early_stop.py              # five scripts, about six minutes on one core
    python tests/bench/early_stop.py fixtures/overfitting/faulty.py --jobs 2

Each script is handed to the real `fix` twice, with and without stopping. What is stopped is a screening that falls
behind the best run so far, and a confirmation that no further seed could win; without stopping both run to their end,
a confirmation to that of the look that it has begun.
The budget is so large that both sessions screen every candidate of six general remedies (REMEDIES), so that they differ
by the stopping alone. Counted are the epochs of all trainings in the store: those of screenings, and those of the whole
session with its baselines and confirmations. `stopped` is how many of the screenings were cut;
`wrongly` how many of these would have gained something, and more than any other change on top of the same plan.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from pool import added

from advisor import confirming
from advisor.baseline import SCREEN
from advisor.events import Event, TrialDone
from advisor.executors.local import LocalExecutor
from advisor.fixing import fix
from advisor.laboratory import Executor
from advisor.plan import Plan
from advisor.program import Program
from advisor.remedies import load_remedies
from advisor.store import Store
from advisor.trial import Job, Ran

BAR = 0.3
ROOT = Path(__file__).parents[2]
SCRIPTS = tuple(
    f"fixtures/{name}/faulty.py"
    for name in (
        "slow_convergence",
        "over_regularised",
        "learning_rate_too_high",
        "oscillating_loss",
        "momentum_too_high",
    )
)
REMEDIES = ("batch_norm", "dropout", "learning_rate", "learning_rate_schedule", "optimizer", "weight_decay")
BUDGET = 200  # trainings: more than there are candidates


class ToTheEnd:
    """An executor whose trials have no rival."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def run(self, jobs: Iterable[Job]) -> Iterator[Ran]:
        return self._executor.run(dataclasses.replace(job, rival=None) for job in jobs)


@contextlib.contextmanager
def whole_looks() -> Iterator[None]:
    """Confirmations train all the seeds of a look that they have begun; what it says decides on a second one."""
    stopping = confirming._hopeless

    def hopeless(lab: Any, trial: Any, runs: Any, verdict: Any, *, first: int, **rest: Any) -> str | None:
        return stopping(lab, trial, runs, verdict, first=first, **rest) if len(runs) == first else None

    with mock.patch.object(confirming, "_hopeless", hopeless):
        yield


@dataclass(frozen=True, slots=True)
class Session:
    """What came of one: the plan, the epochs of its screenings and of everything, and the screenings by plan.

    gains: (kept plan, screened plan) -> the gain on the screening seed; positive is better
    """

    plan: Plan
    screened: int
    epochs: int
    gains: dict[tuple[str, str], float]
    stopped: frozenset[tuple[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="*", type=Path, help="that train under advisor.watch; five fixtures if absent")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--budget", type=float, default=BUDGET)
    options = parser.parse_args()
    began, saved, same = time.monotonic(), [], True
    print("| script | screened | stopped | wrongly | epochs screened | all epochs | plan without | plan with |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for script in [path.absolute() for path in options.scripts] or [ROOT / name for name in SCRIPTS]:
        without, with_ = (run(script, options.budget, options.jobs, stopping=stopping) for stopping in (False, True))
        wrongly = sum(is_best(without.gains, stopped) for stopped in with_.stopped)
        saved.append((without.screened, with_.screened, without.epochs, with_.epochs))
        same = same and without.plan == with_.plan
        print(
            f"| {script.parent.name}/{script.stem} | {len(with_.gains)} | {len(with_.stopped)} | {wrongly}"
            f" | {without.screened} → {with_.screened}, {less(without.screened, with_.screened)}"
            f" | {without.epochs} → {with_.epochs}, {less(without.epochs, with_.epochs)}"
            f" | {without.plan} | {with_.plan if with_.plan != without.plan else 'the same'} |",
            flush=True,
        )
    before, after, all_before, all_after = (sum(column) for column in zip(*saved, strict=True))
    print(f"\nsaved of screenings {less(before, after)}, of sessions {less(all_before, all_after)}")
    met = all_after <= (1 - BAR) * all_before and same
    print(f"at least {BAR:.0%} of sessions, and the same winners: {'yes' if met else 'NO'}; "
          f"{time.monotonic() - began:.0f} s")  # fmt: skip


def run(script: Path, budget: float, jobs: int, *, stopping: bool) -> Session:
    """One real session. stopping: whether losers are stopped"""
    known = [remedy for name, remedy in load_remedies().items() if name in REMEDIES]
    events: list[Event] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), added(*known, alone=True):
        store = Store(f"{folder}/advisor.db")
        as_it_is = contextlib.nullcontext() if stopping else whole_looks()
        with LocalExecutor(Program.from_script(script), f"{folder}/advisor.db", jobs=jobs) as local, as_it_is:
            executor = local if stopping else ToTheEnd(local)
            done = fix(
                script, store=store, executor=executor, budget=budget, jobs=jobs, report=False, force=True,
                on_event=events.append,
            )  # fmt: skip
        runs = store.runs_of(done.session.id)
        epochs = {info.id: store.record(info.id).epochs_seen for info in runs}
        screenings = [info for info in runs if info.trial and info.seed == SCREEN]
        store.close()
    tried = [event.trial for event in events if isinstance(event, TrialDone) and event.trial.stage == "screen"]
    gains = {(str(t.against), str(t.plan)): t.verdict.gain for t in tried if t.verdict is not None}
    stopped = {(str(t.against), str(t.plan)) for t in tried if t.note.startswith("stopped at")}
    screened = sum(epochs[info.id] for info in screenings)
    return Session(done.plan, screened, sum(epochs.values()), gains, frozenset(stopped))


def is_best(gains: dict[tuple[str, str], float], screened: tuple[str, str]) -> bool:
    """Whether the screened plan, run to its end, gained most of those that were compared with the same plan."""
    rivals = [gain for (against, _), gain in gains.items() if against == screened[0]]
    return screened in gains and gains[screened] > 0 and gains[screened] == max(rivals)


def less(before: int, after: int) -> str:
    return f"{100 * (1 - after / before):.0f} % less" if before else "nothing"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # trials of so small networks only wait for more
    main()
