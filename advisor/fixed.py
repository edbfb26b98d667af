"""What `advisor.fix` returns: a session as values, as a table, and as a notebook shows it.

done = advisor.fix(train)
if done:                     # a plan was accepted
    advisor.watch(..., plan=done.plan)
done.final.gain, done.final.p
done.table().query("verdict == 'helped'")
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from advisor.metric import Result
from advisor.plan import Plan
from advisor.report import SessionReport
from advisor.report.closing import outcome
from advisor.report.text import render_text
from advisor.session import FixSession, Trial, Verdict

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Fix:
    """What came of it. True where a plan was accepted; printed, it is the report.

    session:  everything, as the store has it
    baseline: the unchanged program, on the screening seed (0) and then on the fresh seeds: curve, final and best score
    """

    session: FixSession
    baseline: tuple[Result, ...] = ()

    @property
    def plan(self) -> Plan:
        """The accepted plan, for `advisor.watch(..., plan=…)`; without steps, and false, where nothing was accepted."""
        return self.session.plan

    @property
    def final(self) -> Verdict | None:
        """The accepted plan against the unchanged program; None where nothing was accepted."""
        return self.session.final

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Of every plan that was tried, in the order of the table; a baseline, an experiment or a control has none."""
        return tuple(trial.verdict for trial in self.session.trials if trial.verdict is not None)

    def __bool__(self) -> bool:
        return bool(self.plan)

    def __str__(self) -> str:
        return render_text(SessionReport(self.session))

    def table(self) -> pd.DataFrame:
        """One row a trial, the baseline first; index `trial`.

        stage    baseline, screen, confirm, control or probe
        plan     what was trained; against: what it is compared with ("plain" is the unchanged program)
        seeds    how many
        METRIC   mean of the seeds' final scores, under the metric's own name
        gain, p  of the verdict; positive is better, also for a loss
        cost     time of a run in multiples of the baseline's; epochs likewise
        verdict  helped, hurt, no_difference, no_effect, inconclusive or failed; "" where there is none
        kept     whether the plan was accepted
        note     when it was stopped, what it raised, or why the verdict is what it is

        Numbers that are not known are NaN.
        """
        import pandas as pd

        columns = list(_row(Trial(number=0, plan=Plan(), stage="baseline", seeds=()), self.session.metric))
        rows = [_row(trial, self.session.metric) for trial in self.session.trials]
        return pd.DataFrame(rows, columns=columns).set_index("trial")

    def _repr_html_(self) -> str:
        """For a notebook: what came of it, the plan, and the table; whatever the program named is escaped."""
        found = outcome(self.session).plain
        plan = f"<br>plan: <code>{html.escape(str(self.plan))}</code>" if self.plan else ""
        return f"<p><strong>{html.escape(found)}</strong>{plan}</p>{self.table().to_html(escape=True, na_rep='')}"


def _row(trial: Trial, metric: str) -> dict[str, object]:
    verdict = trial.verdict
    return {
        "trial": trial.number,
        "stage": trial.stage,
        "plan": str(trial.plan),
        "against": str(trial.against),
        "seeds": len(trial.seeds),
        metric: fmean(trial.scores) if trial.scores else math.nan,
        "gain": verdict.gain if verdict else math.nan,
        "p": verdict.p if verdict and verdict.p is not None else math.nan,
        "cost": trial.cost if trial.cost is not None else math.nan,
        "epochs": trial.epochs_cost if trial.epochs_cost is not None else math.nan,
        "verdict": verdict.kind if verdict else "",
        "kept": trial.kept,
        "note": trial.note or (verdict.reason if verdict else ""),
    }
