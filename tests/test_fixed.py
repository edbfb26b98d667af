"""A session as a user of Python meets it: values, a table, and what a notebook shows."""

from __future__ import annotations

import math

import pytest

from advisor.fixed import Fix
from advisor.plan import Plan
from advisor.session import FixSession, Trial, Verdict

DROPOUT = Plan.of("dropout", rate=0.5)
HELPED = Verdict(kind="helped", seeds=(1, 2), baseline=(0.5, 0.25), plan=(0.75, 0.5), gain=0.25, p=0.25)
HURT = Verdict(kind="hurt", seeds=(0,), baseline=(0.5,), plan=(0.25,), gain=-0.25, reason="below the noise")
TRIALS = (
    Trial(number=0, plan=Plan(), stage="baseline", seeds=(1, 2), scores=(0.5, 0.25), cost=1.0, epochs_cost=1.0),
    Trial(number=1, plan=Plan.of("<script>", x=1), stage="screen", seeds=(0,), scores=(0.25,), verdict=HURT),
    Trial(
        number=2, plan=DROPOUT, stage="confirm", seeds=(1, 2), scores=(0.75, 0.5), verdict=HELPED, kept=True, cost=1.5
    ),
)
DONE = Fix(FixSession(metric="val_accuracy", mode="max", trials=TRIALS, plan=DROPOUT, final=HELPED, status="finished"))


def test_the_values() -> None:
    """What was accepted, what it brought, and the verdict of all that was tried."""
    assert (DROPOUT, HELPED, (HURT, HELPED), True) == (DONE.plan, DONE.final, DONE.verdicts, bool(DONE))


def test_the_table_has_a_row_a_trial() -> None:
    """Numbers as numbers, NaN where there is none, the plan in words."""
    table = DONE.table()
    assert ["trial", [0, 1, 2]] == [table.index.name, list(table.index)]
    assert ["plain", "<script>(x=1)", "dropout(rate=0.5)"] == list(table["plan"])
    assert [0.375, 0.25, 0.625] == list(table["val_accuracy"])
    assert [-0.25, 0.25] == list(table["gain"])[1:]
    assert ["", "hurt", "helped"] == list(table["verdict"])
    assert [False, False, True] == list(table["kept"])
    assert ["", "below the noise", ""] == list(table["note"])
    assert [True, True, False] == [math.isnan(p) for p in table["p"]]
    assert [1.0, 1.5] == list(table["cost"].dropna())


def test_a_session_without_trials_has_the_same_columns() -> None:
    """So that a query on it finds nothing instead of failing."""
    empty = Fix(FixSession(metric="val_accuracy"))
    assert list(DONE.table().columns) == list(empty.table().columns)
    assert 0 == len(empty.table())
    assert ((), None, False) == (empty.verdicts, empty.final, bool(empty))


def test_a_notebook_shows_what_came_of_it() -> None:
    """The outcome, the plan and the table; names of the program's are text and never markup."""
    shown = DONE._repr_html_()
    assert shown.startswith("<p><strong>0.375 → 0.625 on seeds that chose nothing (p 0.250)</strong>")
    assert "<br>plan: <code>dropout(rate=0.5)</code></p><table" in shown
    assert "&lt;script&gt;(x=1)" in shown
    assert "<script>" not in shown
    assert "NaN" not in shown


@pytest.mark.parametrize("name", ["<img>", "a&b"])
def test_a_metric_s_name_is_escaped_too(name: str) -> None:
    """It is the user's, by `watch.log`."""
    assert name not in Fix(FixSession(metric=name, trials=TRIALS))._repr_html_()


def test_printed_it_is_the_report() -> None:
    """The same text as `advisor report --text`."""
    assert "0.375 → 0.625 on seeds that chose nothing" in str(DONE)
