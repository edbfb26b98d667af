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
from collections.abc import Mapping
from typing import Any

from pydantic import Field
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.fence import untouched
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._batches import are_changed_enough, batch_seen
from advisor.remedies._random import seed_of

CHANGES = frozenset({"texts"})
LOOKS = 64  # items among which one must have two sentences
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
    loader: Any = session.train
    if loader is None or isinstance(loader.dataset, IterableDataset):
        raise CannotApply("expected a training loader over a data set with a length", context="sentence_shuffling")
    own = loader.dataset
    with untouched():
        items = [own[index] for index in range(min(LOOKS, len(own)))]
    several = sum(len(END.split(text)) > 1 for item in items if (text := text_of(item)) is not None)
    if not several:
        raise CannotApply(
            "the data set gives no strings of several sentences",
            context="sentence_shuffling",
            hint="shuffle before the texts are tokenised",
        )
    # below the guard of DataLoader.__setattr__: the loader stays the same object
    loader.__dict__["dataset"] = Shuffled(own, parameters.rate, seed_of("sentence_shuffling"))
    session.on_leave(lambda: loader.__dict__.update(dataset=own))
    session.note("sentence_shuffling", {"looked_at": len(items), "several_sentences": several})


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any rate leaves the same fact
    """Whether texts of several sentences went through it."""
    return isinstance(record.facts.get("remedy.sentence_shuffling"), dict)


class Shuffled(Dataset[Any]):
    """A data set whose texts come in another order each time."""

    def __init__(self, dataset: Any, rate: float, seed: int) -> None:
        self.dataset, self.rate, self.seed, self.given = dataset, rate, seed, 0

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        worker = get_worker_info()
        # a worker's copy begins anew in each epoch, with another seed of the loader's
        draws = random.Random(f"{self.seed} {worker.seed if worker is not None else 0} {self.given}")
        self.given += 1
        item = self.dataset[index]
        return shuffled(item, draws) if draws.random() < self.rate else item

    def __getattr__(self, name: str) -> Any:
        """What a script asks of its own data set."""
        if name.startswith("__") or "dataset" not in vars(self):
            raise AttributeError(name)
        return getattr(self.dataset, name)


def text_of(item: Any) -> str | None:
    """The longest string of an item."""
    if isinstance(item, str):
        return item
    parts = item.values() if isinstance(item, Mapping) else item if isinstance(item, tuple | list) else ()
    return max((part for part in parts if isinstance(part, str)), key=len, default=None)


def shuffled(item: Any, draws: random.Random) -> Any:
    """A copy of an item with the sentences of its text in another order."""
    if isinstance(item, str):
        sentences = END.split(item)
        draws.shuffle(sentences)
        return " ".join(sentences)
    text = text_of(item)
    if text is None:
        return item
    if isinstance(item, Mapping):
        return {key: shuffled(value, draws) if value is text else value for key, value in item.items()}
    parts = [shuffled(part, draws) if part is text else part for part in item]
    return type(item)(*parts) if hasattr(item, "_fields") else type(item)(parts)
