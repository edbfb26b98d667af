"""batch_size: the run of a script whose loader was made with that size."""

from __future__ import annotations

import pytest
from loops import plain, program, run, same
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import batch_size
from advisor.remedies.batch_size import Parameters

PARAMETERS = {"size": 4}


@pytest.mark.parametrize("size", [1, 5, 24])
def test_it_is_the_loader_made_with_that_size(size: int) -> None:
    """Every loss and weight is that of a script that gave the size to its loader; afterwards its own is back."""
    repaired = run(program(mlp), plain, Plan.of("batch_size", size=size))
    assert same(repaired, run(program(mlp, batch_size=size), plain, watched=False))
    assert repaired.train.batch_size == 8
    assert [len(x) for x, _ in repaired.train] == [8, 8, 8]


def test_workers_get_it_too() -> None:
    """Batches are made up in the main process, and workers fill them."""
    session = session_of(mlp(), table())
    session.train = DataLoader(TensorDataset(*table()), batch_size=8, num_workers=1, persistent_workers=True)
    assert [len(x) for x, _ in session.train] == [8, 8, 8]
    batch_size.apply(session, Parameters(size=12))
    assert [len(x) for x, _ in session.train] == [12, 12]
    assert len(session.train) == 2


def test_what_it_cannot_change() -> None:
    """No loader, batches that are made elsewhere, the size in use, nothing left, a schedule that would run out."""

    session = session_of(mlp(), table())
    with pytest.raises(CannotApply, match="8 samples already"):
        batch_size.apply(session, Parameters(size=8))
    scheduler = lr_scheduler.OneCycleLR(session.optimizers[0], 0.1, total_steps=24)
    with pytest.raises(CannotApply, match="OneCycleLR"):
        batch_size.apply(session, Parameters(size=4))
    assert scheduler.last_epoch == 0
    session.train = DataLoader(TensorDataset(*table()), batch_size=8, drop_last=True)
    with pytest.raises(CannotApply, match="nothing of 24 samples"):
        batch_size.apply(session, Parameters(size=32))
    session.train = DataLoader(TensorDataset(*table()), batch_size=None)
    with pytest.raises(CannotApply, match="of your own"):
        batch_size.apply(session, Parameters())
    session.train = None
    with pytest.raises(CannotApply, match="pass train="):
        batch_size.apply(session, Parameters())


def test_candidates_follow_the_diagnosis() -> None:
    """Ordinary sizes where the size is to blame, larger ones where steps are noise; never all the data at once."""
    large = Evidence(record_with(batch_size=1000, train_samples=1000))
    tiny = Evidence(record_with(batch_size=2, train_samples=100))

    def sizes(rule: str | None, evidence: Evidence) -> list[int]:
        return [c.size for c in batch_size.candidates(diagnosis_of(*[rule] if rule else []), evidence)]

    assert sizes("batch_too_large", large) == [32, 128]
    assert sizes("batch_too_small_for_batchnorm", tiny) == [32, 16]
    assert sizes("oscillating_loss", tiny) == [8]
    assert sizes(None, large) == [250]
    assert sizes(None, Evidence(record_with())) == []
