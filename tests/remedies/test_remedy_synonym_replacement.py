"""synonym_replacement: which words are replaced and by what, from which files of WordNet, and what is refused."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
from batches import Bag
from sessions import diagnosis_of, mlp, record_with, session_of, table, watched
from small_wordnet import write_wordnet
from test_remedy_sentence_shuffling import Reviews, tokens
from torch.utils.data import DataLoader

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, _wordnet, synonym_replacement
from advisor.remedies._wordnet import WordNet, find
from advisor.remedies.synonym_replacement import Parameters, replaced


class Films(Reviews):
    """Texts of which WordNet knows a word."""

    def __getitem__(self, index: int) -> tuple[str, int]:
        return ("A film of one sentence", "First. Second.")[index % 2], index % 3


def with_strings() -> Session:
    session = session_of(Bag(), table(), epochs=3)
    session.train = DataLoader(Films(), batch_size=8, shuffle=True, collate_fn=tokens)
    return session


FITTING = (with_strings,)


def test_synonyms_are_those_of_the_most_frequent_sense(wordnet: Path) -> None:
    """The part of speech with most tagged senses; single words, without the markers of adjectives; not the word."""
    known = WordNet(wordnet)
    assert known.synonyms("film") == ("movie",)
    assert known.synonyms("movie") == ("film",)
    assert known.synonyms("here") == ("Present", "attending")
    assert known.synonyms("one") == ("single",)
    assert [known.synonyms(word) for word in ("well", "sentence", "")] == [(), (), ()]
    assert WordNet(wordnet, without={"film"}).synonyms("film") == ()


def test_words_are_replaced_and_the_rest_stays(wordnet: Path) -> None:
    """Capital letters stay, and so do punctuation and words without synonyms; the rate is that of the words."""
    known = WordNet(wordnet)
    assert replaced("Film, a sentence: film!", random.Random(0), known, 1.0) == "Movie, a sentence: movie!"
    many = replaced("film " * 1000, random.Random(0), known, 0.1)
    assert 60 < many.count("movie") < 140  # four standard deviations


def test_texts_of_a_loop_are_rewritten_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loader has its own data set back."""
    session = with_strings()
    assert session.train is not None
    own, seen = session.train.dataset, list[str]()
    monkeypatch.setattr(session.train, "collate_fn", lambda items: (seen.extend(t for t, _ in items), tokens(items))[1])
    record = watched(session, Plan.of("synonym_replacement", rate=1.0))
    assert record.problems == ()
    assert session.train.dataset is own
    assert set(seen) == {"A movie of one sentence", "First. Second."}
    fact = record.facts["remedy.synonym_replacement"]
    assert fact == {"words": 12 * 7, "with_synonyms": 12}  # "one" is a stop word


def test_where_wordnet_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its own programs look, then a folder of NLTK's and its archive; a folder without the files is none."""
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path))
    monkeypatch.setenv("WNHOME", str(tmp_path / "home"))
    own = write_wordnet(tmp_path / "home" / "dict")
    assert find() == own
    monkeypatch.delenv("WNHOME")
    monkeypatch.setenv("NLTK_DATA", str(tmp_path / "nltk"))
    corpora = tmp_path / "nltk" / "corpora"
    corpora.mkdir(parents=True)
    with zipfile.ZipFile(corpora / "wordnet.zip", "w") as packed:
        for file in own.iterdir():
            packed.write(file, f"wordnet/{file.name}")
    found = find()
    assert found is not None
    if Path("/usr/share/wordnet/index.noun").exists():
        pytest.skip("this machine has WordNet, which comes before NLTK's")
    assert WordNet(found).synonyms("film") == ("movie",)


@pytest.mark.parametrize("session", [session_of(mlp(), table()), with_strings()], ids=["numbers", "unknown words"])
def test_refused(session: Session, wordnet: Path) -> None:
    """A data set of numbers; texts of which WordNet knows no word."""
    for part in ("noun", "verb"):
        (wordnet / f"index.{part}").write_text("")
    with pytest.raises(CannotApply, match="no strings with words that WordNet has synonyms of; replace words before"):
        synonym_replacement.apply(session, Parameters())


def test_without_wordnet_there_is_no_candidate_and_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    """How to get it."""

    def found(target: list[int], dtype: str = "int64") -> int:
        batch = {"shape": [32, 20], "dtype": dtype, "target_shape": target}
        evidence: Any = Evidence(record_with(input_batch=batch))
        return len(synonym_replacement.candidates(diagnosis_of("overfitting"), evidence))

    assert [found([32]), found([32, 20]), found([32], "float32")] == [1, 0, 0]
    monkeypatch.setattr(_wordnet, "find", lambda: None)
    assert found([32]) == 0
    with pytest.raises(CannotApply, match="not on this machine; get it with `apt-get install wordnet-base`"):
        synonym_replacement.apply(with_strings(), Parameters())
