"""What `advisor.fix` returns: a session as values, as a table, and as a notebook shows it."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from advisor.metric import Result
from advisor.plan import Plan
from advisor.report import SessionReport
from advisor.report.text import render_text
from advisor.session import FixSession, Verdict

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Fix:
    """What came of it. True where a plan was accepted.

    session:  everything, as the store has it
    baseline: the unchanged program, on the screening seed and on the fresh seeds
    """

    session: FixSession
    baseline: tuple[Result, ...] = ()

    @property
    def plan(self) -> Plan:
        return self.session.plan

    @property
    def final(self) -> Verdict | None:
        """The accepted plan against the unchanged program."""
        return self.session.final

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return tuple(trial.verdict for trial in self.session.trials if trial.verdict is not None)

    def __bool__(self) -> bool:
        return bool(self.plan)

    def __str__(self) -> str:
        return render_text(SessionReport(self.session))

    def table(self) -> pd.DataFrame:
        """One row a trial: plan, what it is compared with, seeds, mean score, gain, p, cost, verdict."""
        import pandas as pd

        rows = []
        for trial in self.session.trials:
            verdict = trial.verdict
            rows.append(
                {
                    "trial": trial.number,
                    "stage": trial.stage,
                    "plan": str(trial.plan),
                    "against": str(trial.against),
                    "seeds": len(trial.seeds),
                    self.session.metric: fmean(trial.scores) if trial.scores else math.nan,
                    "gain": verdict.gain if verdict else math.nan,
                    "p": verdict.p if verdict and verdict.p is not None else math.nan,
                    "cost": trial.cost if trial.cost is not None else math.nan,
                    "verdict": verdict.kind if verdict else "",
                    "kept": trial.kept,
                    "note": trial.note or (verdict.reason if verdict else ""),
                }
            )
        return pd.DataFrame(rows).set_index("trial") if rows else pd.DataFrame()

    def _repr_html_(self) -> str:
        says = f"plan: {self.plan}" if self.plan else "nothing was accepted"
        return f"<p>{html.escape(says)}</p>{self.table().to_html(escape=True)}"
