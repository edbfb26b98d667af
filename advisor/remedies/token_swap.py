"""Swaps a random share of neighbouring tokens of every training text, so that the exact order is not relied on.

## What it does
Draws pairs of neighbouring tokens of a training batch, each token in at most one pair, and exchanges the two with
probability `rate`; never in validation. Padding, and ids with which every row begins or ends, stay where they are.
Draws come from a generator of its own, seeded by the run's seed.

## When it helps
Overfitting and scarce data in text classification, where what is said matters more than how it is put.

## When it hurts
Where order is the meaning ("dog bites man"), and with a vocabulary of characters. For tagging and language modelling it
is refused: their targets would have to move too.

## Cost
One pass over the ids of a batch, and usually more epochs.

## References
Wei, Zou: EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification Tasks (random swap, a
tenth as many as words, anywhere in the text; here a tenth of the pairs, next to one another). EMNLP 2019, arXiv
1901.11196.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._batches import are_changed_enough, batch_seen, were_changed
from advisor.remedies._random import own_generator
from advisor.remedies._tokens import change_tokens, tokens_of

CHANGES = frozenset({"inputs", "order"})


class Parameters(_Parameters):
    """rate: the share of pairs that are exchanged."""

    rate: float = Field(default=0.1, gt=0.0, le=1.0)  # Wei and Zou 2019


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The one choice; none for inputs that are no tokens, or with a target for each of them."""
    if are_changed_enough(diagnosis):
        return []
    seen = batch_seen(evidence)
    return [Parameters()] if seen is not None and seen.texts else []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the batches hold no token ids, or every token has a target of its own."""
    tokens = tokens_of(session, "token_swap")
    if tokens.aligned:
        raise CannotApply("every token has a target of its own", context="token_swap", hint="try token_dropout")
    generator = own_generator("token_swap")

    def change(ids: Tensor) -> Tensor:
        return swap(ids, tokens.text(ids), parameters.rate, generator)

    change_tokens(session, "token_swap", tokens, change)


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any rate leaves the same fact
    """Whether a training batch was changed."""
    return were_changed(record, "token_swap")


def swap(ids: Tensor, free: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """A copy with some pairs (i, i + 1) of free neighbours exchanged; a row pairs from its first or second token."""
    count, length = ids.shape
    at = torch.arange(length)
    offset = torch.randint(0, 2, (count, 1), generator=generator)
    left = ((at - offset) % 2 == 0) & (at < length - 1) & (torch.rand(count, length, generator=generator) < rate)
    left = left.to(ids.device) & free & free.roll(-1, 1)
    source = at.to(ids.device) + left.long() - left.roll(1, 1).long()
    return ids.gather(1, source)
