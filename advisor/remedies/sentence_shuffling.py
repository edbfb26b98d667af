"""Gives half of the training texts with their sentences in another order, so that the order is not what is learned.

## What it does
Puts itself between the training loader and its data set. Where an item is a string, or a tuple or dictionary that holds
one, the sentences of its longest string (they end in . ! or ?) are shuffled with probability `rate` before the loader's
`collate_fn` makes tokens of them; a text of one sentence stays. The loader is the same object, and has its own data set
back when the loop is over. Draws come from generators of its own, seeded by the run's seed.

## When it helps
Overfitting and scarce data in the classification of texts of several sentences.

## When it hurts
Where a text builds on itself: instructions, dialogues, stories. A loop that evaluates on the training loader evaluates
on shuffled texts. Data sets that are tokenised beforehand have no sentences: there it is refused.

## Cost
A split of each text.

## References
Wei, Zou: EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification Tasks (random swap, of
words). EMNLP 2019, arXiv 1901.11196. That whole sentences are moved is our own variant of it.
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
from advisor.remedies._batches import are_changed_enough, batch_seen
from advisor.remedies._texts import look_at, rewrite_texts

CHANGES = frozenset({"texts"})
END = re.compile(r"(?<=[.!?])\s+")


class Parameters(_Parameters):
    """rate: share of the texts that are shuffled."""

    rate: float = Field(default=0.5, gt=0.0, le=1.0)  # a convention: as many keep their order


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The one choice, for batches of token ids with one target a text: whether they come of strings is seen later."""
    if are_changed_enough(diagnosis):
        return []
    seen = batch_seen(evidence)
    return [Parameters()] if seen is not None and seen.texts else []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the data set gives no texts of several sentences."""
    loader, texts = look_at(session, "sentence_shuffling")
    several = sum(len(END.split(text)) > 1 for text in texts)
    if not several:
        raise CannotApply(
            "the data set gives no strings of several sentences",
            context="sentence_shuffling",
            hint="shuffle before the texts are tokenised",
        )
    rewrite_texts(session, loader, "sentence_shuffling", partial(shuffled, rate=parameters.rate))
    session.note("sentence_shuffling", {"looked_at": len(texts), "several_sentences": several})


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any rate leaves the same fact
    """Whether texts of several sentences went through it."""
    return isinstance(record.facts.get("remedy.sentence_shuffling"), dict)


def shuffled(text: str, draws: random.Random, rate: float) -> str:
    """Its sentences in another order, in a share of the draws."""
    if draws.random() >= rate:
        return text
    sentences = END.split(text)
    draws.shuffle(sentences)
    return " ".join(sentences)
