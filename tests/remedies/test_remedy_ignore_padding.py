"""ignore_padding: the losses are those of a script with ignore_index, in training and in validation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from loss_twins import at_end, run, same
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import ignore_padding
from advisor.remedies.ignore_padding import Parameters

ALWAYS = True  # a loop's loss need not be known beforehand
PLAN = Plan.of("ignore_padding")


class Tagger(nn.Module):
    """(N, T) tokens -> (N, T, 5) scores."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head = nn.Embedding(5, 8), nn.Linear(8, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        scores: Tensor = self.head(self.embedding(tokens))
        return scores


def padded() -> tuple[Tensor, Tensor]:
    """Tokens 1 to 4 in sequences of 3 to 9, the rest 0."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(1, 5, (80, 9), generator=generator)
    lengths = torch.randint(3, 10, (80, 1), generator=generator)
    tokens = torch.where(torch.arange(9) < lengths, tokens, 0)
    return tokens, tokens


def flat(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output.reshape(-1, 5), target.reshape(-1))


def flat_without(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output.reshape(-1, 5), target.reshape(-1), ignore_index=0)


def test_padding_counts_for_nothing() -> None:
    """The losses are those with ignore_index=0, and the accuracy is that of real tokens."""
    repaired, right = run(Tagger(), padded(), flat, PLAN), run(Tagger(), padded(), flat_without)
    assert same(repaired, right)
    assert at_end(right, "clean_train_loss") == pytest.approx(at_end(repaired, "clean_train_loss"), rel=1e-3)
    model, (tokens, _) = Tagger(), padded()
    again = run(model, padded(), flat, PLAN)
    real = tokens[60:] > 0
    accuracy = float((model(tokens[60:]).argmax(2) == tokens[60:])[real].float().mean())
    assert at_end(again, "val_accuracy") == pytest.approx(accuracy, abs=1e-3)


def test_what_is_ignored_already_stays_so() -> None:
    """Targets of -100 beside the padding count for nothing either."""
    tokens, _ = padded()
    marked = torch.where(torch.arange(9) == 1, -100, tokens)

    def both(output: Tensor, target: Tensor) -> Tensor:
        real = target.reshape(-1) > 0
        return F.cross_entropy(output.reshape(-1, 5)[real], target.reshape(-1)[real])

    assert same(run(Tagger(), (tokens, marked), flat, PLAN), run(Tagger(), (tokens, marked), both))


def test_nothing_to_ignore() -> None:
    """A loss that ignores the value already, and one that knows no classes."""
    session = session_of(mlp(), table())
    session.loss_fn = nn.CrossEntropyLoss(ignore_index=0)
    with pytest.raises(CannotApply, match="ignores 0 already"):
        ignore_padding.apply(session, Parameters())
    session.loss_fn = nn.MSELoss()
    with pytest.raises(CannotApply, match="the loss is mse_loss"):
        ignore_padding.apply(session, Parameters())


def test_candidate_is_the_value_of_the_finding() -> None:
    """The padding that was seen; without the finding nothing is left out of a loss."""
    evidence = Evidence(record_with(sequences={"value": 3}))
    assert [Parameters(index=3)] == ignore_padding.candidates(diagnosis_of("padding_in_loss"), evidence)
    assert ignore_padding.candidates(diagnosis_of(), evidence) == []
