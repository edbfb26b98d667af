"""use_all_samples: the last batch comes, until the loop is over."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sessions import diagnosis_of, mlp, record_with, session_of, table, watched
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, use_all_samples
from advisor.remedies.use_all_samples import Parameters


def dropping(model: nn.Module | None = None, *, samples: int = 24, batch_size: int = 10) -> Session:
    session = session_of(model or mlp(), table(samples))
    session.train = DataLoader(TensorDataset(*table(samples)), batch_size=batch_size, drop_last=True)
    return session


FITTING = (dropping,)


def test_same_run_as_without_drop_last() -> None:
    """The weights are those of a loop over a loader that was made without drop_last, bit for bit."""
    repaired, written = mlp(), mlp()
    written.load_state_dict(repaired.state_dict())
    session, other = dropping(repaired), dropping(written)
    other.train = DataLoader(TensorDataset(*table()), batch_size=10)
    watched(session, Plan.of("use_all_samples"))
    watched(other)
    assert all(torch.equal(a, b) for a, b in zip(repaired.parameters(), written.parameters(), strict=True))


def test_until_the_loop_is_over() -> None:
    """Three batches inside, two of them after it, by the loader and by its length."""
    session = dropping()
    loader: Any = session.train
    use_all_samples.apply(session, Parameters())
    assert len(loader) == len(list(loader)) == 3
    for leave in session.leave_actions:
        leave()
    assert len(loader) == len(list(loader)) == 2
    assert loader.drop_last


def test_refused() -> None:
    """Nothing is left over, nothing is dropped, or what is left over cannot be normalised."""
    with pytest.raises(CannotApply, match="leaves no sample out"):
        use_all_samples.apply(dropping(batch_size=8), Parameters())
    with pytest.raises(CannotApply, match="leaves no sample out"):
        use_all_samples.apply(session_of(mlp(), table(), batch_size=10), Parameters())
    with pytest.raises(CannotApply, match="one sample, which batch normalisation cannot take"):
        use_all_samples.apply(dropping(nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3)), samples=21), Parameters())


def test_candidates() -> None:
    """Where the loader drops a batch, and only there."""
    for drop_last, given, count in ((True, 20, 1), (True, 24, 0), (False, 20, 0)):
        seen: dict[str, Any] = {"drop_last": drop_last, "given": given, "data_set": 24}
        evidence = Evidence(record_with(train_identities=seen))
        assert len(use_all_samples.candidates(diagnosis_of("samples_never_seen"), evidence)) == count
