"""One training of a session: what its executor said, its record, and what the two come to."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from advisor.diagnosis import Diagnosis
from advisor.errors import AdvisorError
from advisor.metric import Metric, Result, result
from advisor.record import Record
from advisor.remedies import load_remedies

if TYPE_CHECKING:
    from advisor.trial import Ran

COMPLETE = ("finished", "stopped")  # the loop came to the end that it wanted


@dataclass(frozen=True, slots=True)
class Measured:
    """One training and its record.

    cost: in trainings of the baseline's length
    said: the diagnosis that it ended with, where the store has a later one
    """

    ran: Ran
    record: Record | None
    cost: float
    said: Diagnosis | None = None

    @property
    def pruned(self) -> bool:
        return self.ran.status == "pruned"

    @property
    def broken(self) -> bool:
        """It raised, hung, or never reached `advisor.watch`."""
        return self.record is None or not (self.pruned or self.ran.status in COMPLETE)

    @property
    def error(self) -> str:
        """What was raised, one line; "" where nothing was."""
        said = self.record.info.error if self.record is not None else None
        return (said or self.ran.error or ("" if not self.broken else f"the run {self.ran.status}")).strip()

    @property
    def cannot_apply(self) -> str:
        """Why the plan found nothing to change in this run; "" where it did."""
        return self.error.partition("CannotApply: ")[2]

    @property
    def epochs(self) -> int:
        return self.record.epochs_seen if self.record is not None else 0

    @property
    def end(self) -> str:
        """Where it ended, as its loop counts."""
        if self.record is not None and self.record.info.step_based:
            return f"step {self.record.last_step}"
        return f"epoch {self.epochs}"

    @property
    def seconds(self) -> float:
        """Of the training, without starting the process."""
        return max(self.ran.seconds - self.ran.start_seconds, 0.0)

    def result(self, metric: Metric) -> Result:
        """What it reached; all NaN where it broke before its first value."""
        nothing = Result(metric, np.empty(0, np.int64), np.empty(0), math.nan, math.nan, 0)
        if self.record is None:
            return nothing
        try:
            found = result(self.record, metric)
        except AdvisorError:
            return nothing
        return dataclasses.replace(found, final=math.nan) if self.broken else found

    def took_effect(self) -> bool:
        """Whether its record shows every step of its plan."""
        known, record = load_remedies(), self.record
        return record is not None and all(known[s.remedy].took_effect(record, s) for s in self.ran.job.plan.steps)
