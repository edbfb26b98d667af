"""leave_out_copies: which samples go, in which order the others come, and where it cannot tell."""

from __future__ import annotations

import pytest
import torch
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor
from torch.utils.data import DataLoader, SequentialSampler, TensorDataset

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.remedies import Session, leave_out_copies
from advisor.remedies.leave_out_copies import Kept, Parameters


def with_copies(samples: int = 24, copies: int = 6) -> Session:
    """The first few training samples are validated on too."""
    data = table(samples)
    held = torch.cat([data[0][:copies], torch.full((4, 6), 9.0)]), torch.cat([data[1][:copies], torch.zeros(4).long()])
    return session_of(mlp(), data, val=DataLoader(TensorDataset(*held), batch_size=4))


FITTING = (with_copies,)


def given(session: Session) -> list[Tensor]:
    assert session.train is not None
    return [row for batch in session.train for row in batch[0]]


def test_what_validation_holds_is_left_out() -> None:
    """18 of 24 samples are left, none of them a copy, and a fact counts the others."""
    session = with_copies()
    assert session.val is not None
    leave_out_copies.apply(session, Parameters())
    rows = given(session)
    held = [tuple(row.tolist()) for batch in session.val for row in batch[0]]
    assert len(rows) == 18
    assert not {tuple(row.tolist()) for row in rows} & set(held)
    assert session.facts["remedy.leave_out_copies"] == {"left_out": 6, "of": 24, "epochs": 0}
    assert session.train is not None
    assert len(session.train) == 3


def test_the_order_is_that_of_the_users_sampler() -> None:
    """The indices that are left come as the sampler gives them."""
    kept = Kept(SequentialSampler(range(6)), frozenset({5, 1, 3}), 6)
    assert list(kept) == [1, 3, 5]
    assert len(kept) == 3


@pytest.mark.parametrize(
    ("copies", "message"), [(0, "no sample in common"), (24, "every training sample is in the validation data")]
)
def test_nothing_to_leave_out(copies: int, message: str) -> None:
    """Neither without a copy nor with nothing else is there anything to train without."""
    with pytest.raises(CannotApply, match=message):
        leave_out_copies.apply(with_copies(copies=copies), Parameters())


def test_validation_must_be_known() -> None:
    """Without val= nothing can be compared before the first epoch, and the error says what to pass."""
    with pytest.raises(CannotApply, match=r"not known before the first epoch; pass val="):
        leave_out_copies.apply(session_of(mlp(), table()), Parameters())


def test_candidates() -> None:
    """Only where the leak was found: what it does to the score is no gain that a search would see."""
    seen = Evidence(record_with(val_identities={"in_training": 5}))
    assert leave_out_copies.candidates(diagnosis_of("train_val_leakage"), seen) == [Parameters()]
    assert leave_out_copies.candidates(diagnosis_of(), seen) == []
