"""A world in which the power goes off, and what a session is before it and after it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from worlds import World, diagnosed, noise

from advisor.plan import Plan
from advisor.session import FixSession
from advisor.store import Store
from advisor.trial import Job, Ran


class Killed(BaseException):
    """As if the process had gone: nothing is written after it."""


class Dying(World):
    """A world in which the power goes off before the given job."""

    off_at: int | None = None

    def run(self, jobs: Iterable[Job]) -> Iterator[Ran]:
        for job in jobs:
            if len(self.jobs) + 1 == self.off_at:
                raise Killed("the power goes off")
            yield from super().run([job])


def score(plan: Plan, seed: int) -> float | str:
    """good helps, twice as strong helps more; bad is a clear loser, which is stopped early; crash raises."""
    worth = {"bad": -0.4, "good": 0.1, "more": 0.05}
    if any(step.remedy == "crash" for step in plan.steps):
        return "ValueError: bad luck"
    gain = sum(worth[step.remedy] * float(step.parameters["strength"]) for step in plan.steps)  # type: ignore[arg-type]
    return 0.5 + gain + noise(plan, seed, 0.005)


def world(store: Store) -> Dying:
    return Dying(store, score, lambda plan: diagnosed("bad", "good", "more", "crash"))


def made(path: str) -> Store:
    return Store(str(Path(path).absolute()))


def same(session: FixSession) -> dict[str, Any]:
    """What a session came to, without the clock, the process and the ids of runs."""
    whole = session.model_dump(mode="json", exclude={"seconds", "host", "pid", "process", "start"})
    for trial in whole["trials"]:
        trial["runs"] = len(trial["runs"])
    for training in whole["trainings"]:
        training["run"] = training["elapsed"] = None
    return whole


def killed(session: FixSession, store: Store) -> FixSession:
    """The session as a process left it that could not say that it ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    left = session.model_copy(update={"status": "running", "error": None, "pid": process.pid, "process": ""})
    store.save_session(left.model_dump_json(), "running", session.id)
    return left


def stored(store: Store) -> FixSession:
    number, _, text = store.session_documents()[-1]
    return FixSession.model_validate_json(text).model_copy(update={"id": number})
