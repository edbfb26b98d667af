"""Puts synonyms in the place of a few words of every training text, so that the exact wording is not learnt by heart.

## What it does
Puts itself between the training loader and its data set. Where an item is a string, or a tuple or dictionary that holds
one, each word of its longest string that has synonyms is replaced with probability `rate`, before the loader's
`collate_fn` makes tokens of it. The synonyms are the single words of the most frequent sense in WordNet; stop words
(scikit-learn's list) and inflected words stay. The loader is the same object, and has its own data set back when the
loop is over. Draws come from generators of its own, seeded by the run's seed.

## When it helps
Overfitting and scarce data in the classification of English texts, with a vocabulary that knows the other words too:
one made of few texts reads them as unknown, and then it is a token dropout.

## When it hurts
Where the exact word is what is asked for: names, quotations, code, fine shades of tone. The most frequent sense is
often not the one that is meant. Data sets that are tokenised beforehand have no words: there it is refused.

## Cost
A look into a dictionary for each word; WordNet's files are read once, in about half a second.

## References
Wei, Zou: EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification Tasks (synonym
replacement, of a tenth of the words). EMNLP 2019, arXiv 1901.11196.
"""

from __future__ import annotations

import random
import re
from functools import partial

from pydantic import Field

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies import _wordnet as wordnet
from advisor.remedies._batches import are_changed_enough, batch_seen
from advisor.remedies._texts import look_at, rewrite_texts

CHANGES = frozenset({"words"})
WORD = re.compile(r"[A-Za-z]+")


class Parameters(_Parameters):
    """rate: share of the words with synonyms that are replaced."""

    rate: float = Field(default=0.1, gt=0.0, le=1.0)  # Wei and Zou 2019


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The one choice, for batches of token ids with one target a text, where WordNet is on this machine."""
    if are_changed_enough(diagnosis) or wordnet.find() is None:
        return []
    seen = batch_seen(evidence)
    return [Parameters()] if seen is not None and seen.texts else []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply without WordNet, and where the data set gives no texts with words that it knows."""
    folder = wordnet.find()
    if folder is None:
        raise CannotApply(
            "WordNet is not on this machine",
            context="synonym_replacement",
            hint="get it with `apt-get install wordnet-base` or `python -m nltk.downloader wordnet`",
        )
    loader, texts = look_at(session, "synonym_replacement")
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    known = wordnet.WordNet(folder, without=ENGLISH_STOP_WORDS)
    words = [word for text in texts for word in WORD.findall(text)]
    several = sum(bool(known.synonyms(word.lower())) for word in words)
    if not several:
        raise CannotApply(
            "the data set gives no strings with words that WordNet has synonyms of",
            context="synonym_replacement",
            hint="replace words before the texts are tokenised; WordNet is English",
        )
    rewrite_texts(session, loader, "synonym_replacement", partial(replaced, known=known, rate=parameters.rate))
    session.note("synonym_replacement", {"words": len(words), "with_synonyms": several})


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any rate leaves the same fact
    """Whether texts with words that have synonyms went through it."""
    return isinstance(record.facts.get("remedy.synonym_replacement"), dict)


def replaced(text: str, draws: random.Random, known: wordnet.WordNet, rate: float) -> str:
    """The text with a synonym for some of its words; a capital letter stays one."""

    def other(found: re.Match[str]) -> str:
        word = found.group()
        choices = known.synonyms(word.lower())
        if not choices or draws.random() >= rate:
            return word
        chosen = draws.choice(choices)
        return chosen.capitalize() if word[0].isupper() else chosen

    return WORD.sub(other, text)
