"""early_stopping: when it stops, and whose weights are there in the end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from sessions import diagnosis_of, drive, mlp, record_of, record_with, session_of, table, with_validation
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.remedies import Session, early_stopping
from advisor.remedies.early_stopping import Parameters

ALWAYS = True  # it acts on the loop alone
PARAMETERS = {"patience": 1}


def climbing() -> Session:
    """A loss that rises from the first epoch on."""
    return session_of(model := mlp(), table(), torch.optim.SGD(model.parameters(), lr=0.1, maximize=True))


FITTING = (climbing,)


def run(scores: Sequence[float | None], patience: int, epochs: int = 8) -> tuple[Session, list[Tensor]]:
    """The session after its run, and the first weight at the end of each epoch."""
    session = session_of(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)), table(), epochs=epochs)
    early_stopping.apply(session, Parameters(patience=patience))
    seen: list[Tensor] = []
    session.on_epoch(lambda _: seen.append(session.model.state_dict()["0.weight"].clone()))
    drive(session, scores)
    return session, seen


def test_stops_after_patience_and_restores() -> None:
    """Best at epoch 1, two worse ones: it ends after epoch 3 with the weights of epoch 1."""
    session, seen = run([0.1, 0.5, 0.4, 0.5, 0.9, 0.9], patience=2)
    assert len(seen) == 4
    assert session.facts["stopped_epoch"] == 3
    assert session.facts["best_weights_epoch"] == 1
    assert torch.equal(session.model.state_dict()["0.weight"], seen[1])
    assert not torch.equal(seen[1], seen[3])
    assert early_stopping.took_effect(record_of(session, epochs_seen=4), Parameters())


def test_buffers_are_restored_too() -> None:
    """Running statistics are those of the best epoch: three batches in epoch 0."""
    session, _ = run([0.9, 0.1, 0.1], patience=2)
    assert session.model.state_dict()["1.num_batches_tracked"] == 3


def test_rising_score_is_left_alone() -> None:
    """A run that improves to its end is not stopped, and taking the last weights is no effect."""
    session, seen = run([0.1, 0.2, 0.3, 0.4, 0.5], patience=1, epochs=5)
    assert len(seen) == 5
    assert "stopped_epoch" not in session.facts
    assert session.facts["best_weights_epoch"] == 4
    assert not early_stopping.took_effect(record_of(session, epochs_seen=5), Parameters())


def test_not_measured_is_neither_better_nor_worse() -> None:
    """Epochs without a score do not count; NaN counts as worse."""
    session, seen = run([0.5, None, None, None, math.nan, None, 0.4], patience=2)
    assert len(seen) == 7
    assert session.facts["stopped_epoch"] == 6
    assert session.facts["best_weights_epoch"] == 0


def test_never_measured() -> None:
    """Without any score the weights are left as they are."""
    session, seen = run([], patience=2, epochs=3)
    assert torch.equal(session.model.state_dict()["0.weight"], seen[-1])
    assert set(session.facts) == {"remedy.early_stopping"}


def test_run_shorter_than_patience() -> None:
    """A run that ends before patience could is refused."""
    with pytest.raises(CannotApply, match="3 epochs cannot wait for 5"):
        early_stopping.apply(session_of(mlp(), table(), epochs=3), Parameters(patience=5))


def test_candidates() -> None:
    """A fifth of the run, three epochs at least; none where nothing is validated."""
    long, short = with_validation(record_with(epochs=60)), with_validation(record_with(epochs=8))
    assert early_stopping.candidates(diagnosis_of("overfitting"), Evidence(long)) == [Parameters(patience=12)]
    assert early_stopping.candidates(diagnosis_of("overfitting"), Evidence(short)) == [Parameters(patience=3)]
    assert early_stopping.candidates(diagnosis_of("overfitting"), Evidence(record_with())) == []
