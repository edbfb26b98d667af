"""Blanks a random share of the tokens of every training text, so that no single word is relied on.

## What it does
Replaces each token of a training batch with probability `rate`, and never in validation: by the padding where rows are
seen to be padded, which a model that masks its padding passes over; otherwise by a token drawn from the same batch, so
that frequent ones come more often. Padding, and ids with which every row begins or ends, stay. Nothing else in the
batch changes: masks and lengths are those of the whole text. Draws come from a generator of its own, seeded by the
run's seed.

## When it helps
Overfitting and scarce data in text classification and tagging, with a vocabulary of words or word pieces.

## When it hurts
Where one token is the label (a negation), and in short texts. A model that counts the tokens that are no padding to
find the end of a text loses as many of its last ones.

## Cost
One pass over the ids of a batch, and usually more epochs.

## References
Iyyer, Manjunatha, Boyd-Graber, Daumé: Deep Unordered Composition Rivals Syntactic Methods for Text Classification
(word dropout; 0.3 is the default of their code). ACL 2015.
Xie, Wang, Li, Lévy, Nie, Jurafsky, Ng: Data Noising as Smoothing in Neural Network Language Models (blank and unigram
noising). ICLR 2017, arXiv 1703.02573.
Wei, Zou: EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification Tasks (random deletion
of a tenth). EMNLP 2019, arXiv 1901.11196.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._batches import are_changed_enough, batch_seen, were_changed
from advisor.remedies._random import own_generator
from advisor.remedies._tokens import change_tokens, tokens_of

CHANGES = frozenset({"inputs", "tokens"})


class Parameters(_Parameters):
    """rate: the share of tokens that are blanked."""

    rate: float = Field(default=0.1, gt=0.0, lt=1.0)  # Wei and Zou 2019


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """A tenth, and three: the two cited rates. None for inputs that are no tokens."""
    if are_changed_enough(diagnosis):
        return []
    seen = batch_seen(evidence)
    return [Parameters(), Parameters(rate=0.3)] if seen is not None and seen.tokens else []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the batches hold no token ids, or the targets are made of them."""
    tokens = tokens_of(session, "token_dropout")
    generator = own_generator("token_dropout")

    def change(ids: Tensor) -> Tensor:
        dropped = (torch.rand(ids.shape, generator=generator) < parameters.rate).to(ids.device) & tokens.text(ids)
        if tokens.padding is not None:
            return ids.masked_fill(dropped, tokens.padding)
        drawn = torch.randint(0, ids.numel(), ids.shape, generator=generator).to(ids.device)
        return torch.where(dropped, ids.reshape(-1)[drawn], ids)

    change_tokens(session, "token_dropout", tokens, change)


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any rate leaves the same fact
    """Whether a training batch was changed."""
    return were_changed(record, "token_dropout")
