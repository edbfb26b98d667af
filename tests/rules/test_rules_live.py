"""Healthy runs while they go on: a run that is not over looks in its first epochs like many a fault."""

from __future__ import annotations

from dataclasses import replace

import pytest
from constructed import RULES, healthy, stored

from advisor.diagnosis import diagnose
from advisor.evidence import Evidence
from advisor.partial import first
from advisor.record import Record
from advisor.states import History

MOST_LOOKS = 20  # at a run: a screen that looks every few per cent


def until(record: Record, epoch: int) -> Record:
    """The record as it was after an epoch."""
    series = {name: first(series, epoch + 1) for name, series in record.series.items()}
    info = record.info.model_copy(update={"status": "running"})
    return replace(record, info=info, series={name: s for name, s in series.items() if len(s.steps)})


@pytest.mark.parametrize("name", healthy())
def test_nothing_is_raised_while_a_healthy_run_goes_on(name: str) -> None:
    """Nothing stands two looks in a row."""
    record, history = stored("healthy", name), History()
    for epoch in range(0, record.epochs_seen, -(-record.epochs_seen // MOST_LOOKS)):
        history = history.after(diagnose(Evidence(until(record, epoch)), RULES), epoch, RULES)
    assert [(state.rule, state.raised) for state in history.states if state.raised is not None] == []
