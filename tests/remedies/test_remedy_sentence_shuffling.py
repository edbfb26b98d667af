"""sentence_shuffling: which texts come in another order, from which data sets, and what is left after the loop."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
import torch
from batches import Bag
from sessions import diagnosis_of, mlp, record_with, session_of, table, watched
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, sentence_shuffling
from advisor.remedies._texts import Rewritten, rewritten
from advisor.remedies.sentence_shuffling import Parameters, shuffled

TEXTS = ["One is here. Two is there! Is three? Four.", "It is one sentence", "First. Second."] * 8


class Reviews(Dataset[tuple[str, int]]):
    """Texts, and a name that a script asks for."""

    name = "reviews"

    def __len__(self) -> int:
        return len(TEXTS)

    def __getitem__(self, index: int) -> tuple[str, int]:
        return TEXTS[index], index % 3


def tokens(items: list[tuple[str, int]]) -> tuple[Tensor, Tensor]:
    """The first eight words by their lengths."""
    words = [[len(word) for word in text.split()[:8]] for text, _ in items]
    rows = [row + [0] * (8 - len(row)) for row in words]
    return torch.tensor(rows), torch.tensor([label for _, label in items])


def with_strings() -> Session:
    session = session_of(Bag(), table(), epochs=3)
    session.train = DataLoader(Reviews(), batch_size=8, shuffle=True, collate_fn=tokens)
    return session


FITTING = (with_strings,)


def test_sentences_are_those_of_the_text() -> None:
    """With a rate of 1 each text has its own sentences, in more than one order; one sentence stays as it is."""
    data = Rewritten(Reviews(), partial(shuffled, rate=1.0), 0)
    given = [data[0] for _ in range(50)]
    assert {label for _, label in given} == {0}
    sentences = ["One is here.", "Two is there!", "Is three?", "Four."]
    for text, _ in given:
        rest = text
        for sentence in sentences:
            assert sentence in rest
            rest = rest.replace(sentence, "", 1)
        assert rest.strip() == ""
    assert len({text for text, _ in given}) > 10
    assert data[1] == ("It is one sentence", 1)


def test_rate() -> None:
    """With a rate of a half about half of the texts keep their order, and some of the others by chance."""
    data = Rewritten(Reviews(), partial(shuffled, rate=0.5), 0)
    kept = sum(data[0][0] == TEXTS[0] for _ in range(400))
    assert 160 < kept < 270  # 0.5 + 0.5 / 24 of 400


@pytest.mark.parametrize("make", [lambda t: t, lambda t: (t, 1), lambda t: [1, t], lambda t: {"id": "a", "text": t}])
def test_forms_of_an_item(make: Any) -> None:
    """A string alone, in a tuple, in a list and in a dictionary; the rest of the item stays."""
    item = make("a. b.")
    draws = [random.Random(seed) for seed in range(20)]
    orders = {str(rewritten(item, partial(shuffled, draws=each, rate=1.0))) for each in draws}
    assert orders == {str(make("a. b.")), str(make("b. a."))}


def test_loader_has_its_own_data_set_back() -> None:
    """After the loop the loader gives the texts as they are; a script's own names are there in the meantime."""
    session = with_strings()
    assert session.train is not None
    own = session.train.dataset
    sentence_shuffling.apply(session, Parameters())
    assert session.train.dataset is not own
    assert session.train.dataset.name == "reviews"  # type: ignore[attr-defined]  # passed on
    session.leave_actions[0]()
    assert session.train.dataset is own

    again = with_strings()
    assert again.train is not None
    own = again.train.dataset
    assert watched(again, Plan.of("sentence_shuffling")).problems == ()
    assert again.train.dataset is own


def test_refused() -> None:
    """A data set of numbers."""
    with pytest.raises(CannotApply, match="no strings of several sentences; shuffle before"):
        sentence_shuffling.apply(session_of(mlp(), table()), Parameters())


def test_candidates() -> None:
    """For token ids with one target a text."""

    def found(target: list[int], dtype: str = "int64") -> int:
        batch = {"shape": [32, 20], "dtype": dtype, "target_shape": target}
        return len(sentence_shuffling.candidates(diagnosis_of("overfitting"), Evidence(record_with(input_batch=batch))))

    assert [found([32]), found([32, 20]), found([32], "float32")] == [1, 0, 0]
