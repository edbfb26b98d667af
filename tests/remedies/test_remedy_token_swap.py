"""token_swap: which neighbours are exchanged, and which tokens stay."""

from __future__ import annotations

import pytest
import torch
from batches import texts, with_texts
from sessions import diagnosis_of, mlp, record_with, session_of

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.remedies import token_swap
from advisor.remedies.token_swap import Parameters, swap

FITTING = (with_texts,)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_all_pairs_from_the_first_or_the_second_token() -> None:
    """With a rate of 1 every row is exchanged pair by pair; both ways to pair occur."""
    ids = torch.arange(6).expand(50, 6)
    result = swap(ids, torch.ones_like(ids, dtype=torch.bool), 1.0, generator())
    assert sorted({tuple(row) for row in result.tolist()}) == [(0, 2, 1, 4, 3, 5), (1, 0, 3, 2, 5, 4)]


def test_tokens_that_are_not_free_stay() -> None:
    """No pair reaches over a fixed token."""
    ids = torch.arange(5).expand(50, 5)
    free = torch.tensor([True, True, False, True, True]).expand(50, 5)
    result = swap(ids, free, 1.0, generator())
    assert sorted({tuple(row) for row in result.tolist()}) == [(0, 1, 2, 4, 3), (1, 0, 2, 3, 4)]


def test_rows_keep_their_tokens_and_their_frame() -> None:
    """Every row has the same tokens in another order; begin, end and padding stay in place."""
    ids, labels = texts(200)
    session = session_of(mlp(), (ids, labels), batch_size=200)
    token_swap.apply(session, Parameters(rate=0.5))
    result, same = session.batch_changes[0]((ids, labels))
    assert same is labels
    assert torch.equal(result.sort(1).values, ids.sort(1).values)
    assert torch.equal(result[ids <= 2], ids[ids <= 2])
    pairs = float((result != ids).sum()) / 2
    words = float((ids > 2).sum())
    assert 0.1 < pairs / words < 0.3  # half of all pairs that are drawn, and a row pairs half of its neighbours


def test_refused() -> None:
    """A target for each token."""
    ids = texts()[0]
    with pytest.raises(CannotApply, match="every token has a target of its own; try token_dropout"):
        token_swap.apply(session_of(mlp(), (ids, ids.roll(-1, 1))), Parameters())


def test_candidates() -> None:
    """For one target a text; none for one a token."""

    def found(target: list[int]) -> int:
        batch = {"shape": [32, 20], "dtype": "int64", "target_shape": target}
        return len(token_swap.candidates(diagnosis_of("overfitting"), Evidence(record_with(input_batch=batch))))

    assert [found([32]), found([32, 20])] == [1, 0]
