"""An interrupted session of `advisor fix` -> it goes on: what it had trained is given again where it is asked for.

The search is deterministic: asked the same questions, and given the same answers at the same point of the budget, it
comes to where it stopped, and goes on from there with trainings of its own. So a session that was killed ends as one
that never was. Trainings that were under way are repeated.
"""

from __future__ import annotations

import os
import shlex
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from advisor import errors
from advisor.errors import AdvisorError
from advisor.processes import mark
from advisor.session import FixSession, Start, Training
from advisor.store import Store

if TYPE_CHECKING:
    from advisor.trial import Job, Ran

UNTOLD = Path(os.devnull)  # the log of a training that ended in another process: its scratch folder is gone


def begun(name: str, command: tuple[str, ...], start: Start) -> FixSession:
    """A session of this process that begins now."""
    pid = os.getpid()
    return FixSession(
        name=name, command=command, strategy=start.strategy, budget=start.budget, start=start,
        host=socket.gethostname(), pid=pid, process=mark(pid),
    )  # fmt: skip


def resumed(store: Store, start: Start) -> FixSession:
    """The last session that was asked the same and did not come to its end, taken over by this process.

    Its budget, time, seeds and force are those that it was begun with. Raises: AdvisorError where there is none, or
    where it still runs.
    """
    found = [session for session in _sessions(store) if session.start and session.start.program == start.program]
    same = [session for session in found if _differs(session.start, start) == ""]
    last = same[-1] if same else None
    if last is None or last.status == "finished":
        raise _none(start, found, last)
    if last.seen(store.heard_of(last.id)).status == "running":
        raise AdvisorError(
            f"session {last.id} is still running (process {last.pid} on {last.host})",
            context="--resume",
            hint="wait for it, or end it first; `advisor report` shows how far it is",
        )
    _end_runs(store, last.id)
    assert last.start is not None  # asked above
    again = begun(last.name, last.command, last.start)
    return again.model_copy(update={"id": last.id, "seconds": last.seconds, "trainings": _usable(last)})


@dataclass
class Replay:
    """The trainings of a session before it was interrupted, each given once.

    elapsed: s that the session had taken
    """

    trainings: Sequence[Training] = ()
    elapsed: float = 0.0
    _given: set[int] = field(default_factory=set)
    _charged: set[int] = field(default_factory=set)

    def take(self, jobs: Sequence[Job]) -> list[tuple[Job, Training, float]]:
        """Of the jobs those that are known, in the order in which they ended, and what each is to be charged.

        A training that was stopped early answers only a job that may be.
        """
        found: dict[int, Job] = {}
        for job in jobs:
            for place, training in enumerate(self.trainings):
                asked = (training.plan, training.seed) == (job.plan, job.seed)
                if asked and place not in self._given and (training.status != "pruned" or job.rival is not None):
                    self._given.add(place)
                    found[place] = job
                    break
        costs = {place: 0.0 if place in self._charged else self.trainings[place].cost for place in found}
        return [(found[place], self.trainings[place], costs[place]) for place in sorted(found)]

    def rest(self) -> float:
        """The cost of what was trained and nobody has asked for, once: it was spent all the same."""
        unasked = set(range(len(self.trainings))) - self._given - self._charged
        self._charged |= unasked
        return sum(self.trainings[place].cost for place in unasked)


def noted(ran: Ran, cost: float, elapsed: float) -> Training:
    """A training as the session's document keeps it."""
    ours = ran.ours
    return Training(
        trial=ran.job.number, plan=ran.job.plan, seed=ran.job.seed, run=ran.run, status=ran.status, error=ran.error,
        seconds=ran.seconds, start_seconds=ran.start_seconds, cost=cost, elapsed=elapsed,
        ours=None if ours is None else (type(ours).__name__, ours.what, ours.context, ours.hint),
    )  # fmt: skip


def told_again(training: Training, job: Job) -> Ran:
    """What came of a job, as its executor told it."""
    from advisor.trial import Ran

    return Ran(
        job=job,
        run=training.run,
        status=training.status,
        error=training.error,
        seconds=training.seconds,
        start_seconds=training.start_seconds,
        log=UNTOLD,
        ours=errors.rebuilt(*training.ours) if training.ours is not None else None,
    )


def _usable(session: FixSession) -> tuple[Training, ...]:
    """Without those that were killed, maybe by what ended the session, and without those that it failed with.

    A session fails where the unchanged program raises; runs of it beside the first may have ended after that one.
    """
    failed = session.status == "failed"
    kept = [training for training in session.trainings if not (failed and training.error and not training.plan)]
    return tuple(training for training in kept if training.status != "crashed")


def _sessions(store: Store) -> Iterator[FixSession]:
    for number, _, text in store.session_documents():
        try:
            yield FixSession.model_validate_json(text).model_copy(update={"id": number})
        except ValidationError:  # of another version of advisor
            continue


def _differs(one: Start | None, other: Start) -> str:
    """What two sessions of one program differ in, in words; "" where one can go on as the other."""
    assert one is not None  # asked by the caller
    if one.fingerprint != other.fingerprint:
        return "the program has changed since"
    if one.arguments != other.arguments:
        return f"it was begun with {_arguments(one)}, not with {_arguments(other)}"
    if one.strategy != other.strategy:
        return f"it was begun with the strategy {one.strategy}, not with {other.strategy}"
    if one.metric != other.metric:
        return f"it was begun with the metric {one.metric or 'of the program'}, not with {other.metric or 'that'}"
    return ""


def _arguments(start: Start) -> str:
    return f"the arguments {shlex.join(start.arguments)}" if start.arguments else "no arguments"


def _none(start: Start, found: Sequence[FixSession], same: FixSession | None) -> AdvisorError:
    """Why there is nothing to go on with."""
    name = Path(start.program).name
    open_ = [session for session in found if session.status != "finished"]
    if same is not None:
        what = f"the last session of {name} has come to its end (session {same.id})"
    elif open_:
        what = f"session {open_[-1].id} of {name} cannot go on: {_differs(open_[-1].start, start)}"
    else:
        what = f"there is no interrupted session of {name} in this store"
    return AdvisorError(what, context="--resume", hint="begin a new one without it; `advisor runs` lists the sessions")


def _end_runs(store: Store, session: int) -> None:
    """The runs that were under way will not say how they ended."""
    for info in store.runs_of(session):
        if info.status == "running":
            ended = info.model_copy(update={"status": "interrupted", "ended": time.time()})
            store.write(ended, problems=store.record(info.id).problems)
