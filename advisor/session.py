"""What `advisor fix` leaves behind: everything that was tried, with its verdict. JSON in the store; reports read it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from advisor.diagnosis import Diagnosis
from advisor.plan import Plan
from advisor.processes import gone
from advisor.record import Status

GONE = "its process is gone without a word: it was killed, or the machine went off"
Kind = Literal["helped", "hurt", "no_difference", "no_effect", "inconclusive", "failed"]


class Verdict(BaseModel):
    """Matched runs, plan against baseline, on one metric.

    baseline, plan: the final score of each seed, in the order of `seeds`, in the metric's own unit
    gain:           mean improvement; positive is better, also where the metric is a loss
    p:              exact one-sided sign-flip test; None below two seeds
    noise:          standard deviation of the baseline's scores over its seeds
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    kind: Kind
    seeds: tuple[int, ...]
    baseline: tuple[float, ...]
    plan: tuple[float, ...]
    best_baseline: tuple[float, ...] = ()  # best of run, beside the last of run above
    best_plan: tuple[float, ...] = ()
    gain: float
    p: float | None = None
    noise: float | None = None
    reason: str = ""  # one clause: why this kind


class Trial(BaseModel):
    """One row of the table: a plan, the runs that tried it, and what came of it.

    stage: screen (one seed, may be stopped early), confirm (fresh seeds), control (equal budget), probe (an experiment)
    cost:  time of a run in multiples of the baseline's; epochs likewise
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    number: int
    plan: Plan
    stage: Literal["baseline", "screen", "confirm", "control", "probe"]
    seeds: tuple[int, ...]
    scores: tuple[float, ...] = ()
    runs: tuple[int, ...] = ()  # ids in the store
    against: Plan = Plan()  # what it is compared with
    verdict: Verdict | None = None
    kept: bool = False
    cost: float | None = None
    epochs_cost: float | None = None
    note: str = ""  # "stopped at epoch 11", "raised ValueError: …"
    behind: bool = False  # a screening that was stopped since it fell behind the best one: its gain is of that epoch


class Start(BaseModel):
    """What was asked of a session: a session that goes on later goes on with it.

    fingerprint: of the program's source
    metric:      as the user asked for it; None for the program's own
    jobs:        trainings that were chosen at the same time, which decides what was tried; None before that is known
    plan_file:   where the accepted plan goes
    """

    model_config = ConfigDict(frozen=True)

    program: str  # absolute path of the script, or the function's name
    fingerprint: str
    arguments: tuple[str, ...] = ()
    strategy: str = "rules"
    metric: str | None = None
    budget: float = 20.0
    seconds: float | None = None
    seeds: int = 5
    force: bool = False
    jobs: int | None = None
    plan_file: str = "advisor-plan.toml"


class Training(BaseModel):
    """One training as it ended, so that a session that goes on later need not repeat it.

    plan, seed: what was trained; trial: for which row of the table
    run:        in the store; None where `advisor.watch` was never reached
    cost:       in trainings of the baseline's length
    elapsed:    s since the session began
    diagnosis, facts: of the first run alone, as they were before experiments added to them
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    trial: int
    plan: Plan
    seed: int
    run: int | None
    status: Status | Literal["no_watch", "crashed"]
    error: str | None
    seconds: float
    start_seconds: float
    cost: float
    elapsed: float
    ours: tuple[str, str, str, str] | None = None  # an AdvisorError: its kind, what, context and hint
    diagnosis: Diagnosis | None = None
    facts: tuple[str, ...] = ()


class FixSession(BaseModel):
    """A session of `advisor fix`, complete or under way."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    id: int = 0
    name: str = ""
    status: Literal["running", "finished", "interrupted", "failed"] = "running"
    error: str | None = None
    command: tuple[str, ...] = ()
    metric: str = "val_loss"
    mode: Literal["min", "max"] = "min"
    strategy: str = "rules"
    budget: float = 20.0  # in trainings of the baseline's length
    spent: float = 0.0
    seconds: float = 0.0
    diagnosis: Diagnosis | None = None  # of the baseline
    after: Diagnosis | None = None  # of the accepted plan
    trials: tuple[Trial, ...] = ()
    plan: Plan = Plan()
    final: Verdict | None = None  # accepted plan against plain, on seeds that chose nothing
    plan_file: str | None = None
    advice: tuple[str, ...] = ()  # what cannot be done at run time, and what was not tried
    notes: tuple[str, ...] = ()
    start: Start | None = None
    trainings: tuple[Training, ...] = ()  # in the order in which they ended
    host: str = ""
    pid: int = 0
    process: str = ""  # `processes.mark` of pid

    def seen(self, heard: float | None) -> FixSession:
        """As it is: one that says that it runs, and whose process is gone, was interrupted.

        heard: s since 1970 at which it or a run of it was last written
        """
        if self.status != "running" or not gone(self.pid, self.host, self.process, heard=heard):
            return self
        return self.model_copy(update={"status": "interrupted", "notes": (*self.notes, GONE)})
