"""token_dropout: which tokens are blanked, by what, and which stay."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from batches import texts, with_texts
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.remedies import Session, token_dropout
from advisor.remedies.token_dropout import Parameters

FITTING = (with_texts,)


def applied(batch: Any, **parameters: float) -> Session:
    session = session_of(mlp(), table())
    whole = isinstance(batch, dict | Tensor)
    session._example = lambda: (batch, None) if whole else (batch[0], batch[1] if len(batch) > 1 else None)
    token_dropout.apply(session, Parameters(**parameters))
    return session


def changed(batch: Any, **parameters: float) -> Any:
    return applied(batch, **parameters).batch_changes[0](batch)


def test_words_become_padding_and_the_frame_stays() -> None:
    """About the share of the words is 0; begin 1, end 2 and the padding are where they were."""
    ids, labels = texts(400)
    result, same = changed((ids, labels), rate=0.3)
    words = ids > 2
    assert same is labels
    assert torch.equal(result[~words], ids[~words])
    assert set((result - ids)[words & (result != ids)].tolist()) <= set(range(-19, -2))  # to 0
    assert 0.25 < float((result[words] == 0).float().mean()) < 0.35
    assert torch.equal(result[words & (result != 0)], ids[words & (result != 0)])


def test_full_rows_get_tokens_of_the_batch() -> None:
    """Without padding, blanked tokens are drawn from the batch: only its own ids come, frequent ones more often."""
    ids = torch.where(torch.rand(200, 10) < 0.8, 7, torch.randint(10, 19, (200, 10)))
    result = changed((ids, torch.zeros(200)), rate=0.5)[0]
    drawn = result[result != ids]
    assert set(result.unique().tolist()) <= set(ids.unique().tolist())
    assert float((drawn == 7).float().mean()) > 0.3
    assert 0 < len(drawn) < 0.5 * ids.numel()


def test_dictionary_with_a_mask() -> None:
    """The ids are changed wherever they stand; mask and labels are the same objects."""
    ids, labels = texts(16)
    batch = {"attention_mask": (ids != 0).long(), "input_ids": ids, "labels": labels}
    result = changed(batch, rate=0.5)
    assert list(result) == list(batch)
    assert result["attention_mask"] is batch["attention_mask"]
    assert result["labels"] is labels
    assert not torch.equal(result["input_ids"], ids)
    assert torch.equal(ids, texts(16)[0])  # the user's tensor is not written to


def test_padding_on_the_left() -> None:
    """Runs of different lengths at the beginning are padding too."""
    ids = texts(64)[0].flip(1)
    session = applied((ids, torch.zeros(64)))
    assert session.facts["remedy.token_dropout"] == {"padding": 0, "frame": [2, 1], "batches": 0}


def test_other_lengths() -> None:
    """A batch of another length is changed too; one without ids is passed on."""
    session = applied(texts(16), rate=0.9)
    longer = torch.randint(3, 20, (4, 30))
    assert not torch.equal(session.batch_changes[0]((longer, torch.zeros(4)))[0], longer)
    other = (torch.zeros(4, 6), torch.zeros(4))
    assert session.batch_changes[0](other) is other


def test_evaluation_on_the_same_loader_is_left_alone() -> None:
    """Without gradients, or in eval mode after training, a batch of the training loader stays itself."""
    session = applied(texts(16), rate=0.9)
    batch = texts(16)
    with torch.no_grad():
        assert session.batch_changes[0](batch) is batch
    assert session.batch_changes[0](batch) is not batch
    session.model.eval()
    assert session.batch_changes[0](batch) is batch


def test_refused() -> None:
    """Numbers, and batches of ids alone, whose targets a loop makes of them."""
    with pytest.raises(CannotApply, match="expected token ids"):
        applied(table())
    for batch in (texts()[0], (texts()[0],), {"input_ids": texts()[0]}):
        with pytest.raises(CannotApply, match="targets may be made of the ids"):
            applied(batch)


def test_candidates() -> None:
    """Two rates for whole numbers (N, T)."""

    def found(*shape: int, dtype: str = "int64") -> list[float]:
        evidence = Evidence(record_with(input_batch={"shape": list(shape), "dtype": dtype}))
        return [choice.rate for choice in token_dropout.candidates(diagnosis_of("overfitting"), evidence)]

    assert found(32, 20) == [0.1, 0.3]
    assert found(32, 20, dtype="float32") == []
    assert found(32, 3, 8, 8, dtype="uint8") == []
