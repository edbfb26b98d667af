"""Rows of tokens -> `sequences`: how they end, what the loss ignores, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import advisor

ROWS = torch.tensor([[1, 2, 3, 0, 0, 0], [4, 1, 0, 0, 0, 0], [2, 3, 1, 4, 0, 0], [1, 2, 3, 4, 1, 2]])


def found(rows: Tensor = ROWS, *, flat: bool = True, inputs: Tensor | None = None, **options: Any) -> Any:
    """The fact of one epoch in which a table of scores predicts each next token."""
    model = nn.Embedding(5, 5)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loader = DataLoader(TensorDataset(*([rows] if inputs is None else [inputs, rows])), len(rows))
    watch = advisor.watch(range(1), model, optimizer, train=loader, report=False)
    for _ in watch:
        for batch in loader:
            x, y = (batch[0][:, :-1], batch[0][:, 1:]) if inputs is None else batch
            scores = model(x)
            if flat:
                functional.cross_entropy(scores.reshape(-1, 5), y.reshape(-1), **options).backward()
            else:
                functional.cross_entropy(scores.transpose(1, 2), y, **options).backward()
            optimizer.step()
    assert watch.record.problems == ()
    return watch.record.facts.get("sequences")


@pytest.mark.parametrize("flat", [True, False])
def test_runs_at_the_end_are_counted(flat: bool) -> None:
    """Nine of twenty next tokens are 0, in runs of 3, 4, 2 and none: as (N, T), and flattened."""
    fact = found(flat=flat)
    assert (fact["value"], fact["side"], fact["sequences"]) == (0, "end", 4)
    assert (fact["rows"], fact["share"], fact["interior"], fact["lengths"]) == (0.75, 9 / 20, 0.0, 4)


def test_padding_in_front_is_seen_from_the_other_side() -> None:
    """The same rows turned around: without the first token, which nothing predicts, 3 + 3 + ... are left."""
    fact = found(ROWS.flip(1))
    assert (fact["side"], fact["value"], fact["share"]) == ("beginning", 0, (2 + 3) / 20)


@pytest.mark.parametrize("options", [{"ignore_index": 0}, {"weight": torch.tensor([0.0, 1, 1, 1, 1])}])
def test_padding_that_does_not_count_is_none(options: dict[str, Any]) -> None:
    """Ignored by index, or given no weight: whatever else the rows begin or end in is no padding."""
    fact = found(**options)
    assert fact is None or fact["value"] != 0


def test_elements_that_the_loop_weights_itself_are_not_looked_at() -> None:
    """reduction="none": a mask may follow."""

    def masked(scores: Tensor, y: Tensor) -> Tensor:
        each = functional.cross_entropy(scores.transpose(1, 2), y, reduction="none")
        return (each * (y != 0)).mean()

    model = nn.Embedding(5, 5)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loader = DataLoader(TensorDataset(ROWS), 4)
    watch = advisor.watch(range(1), model, optimizer, train=loader, report=False)
    for _ in watch:
        for (batch,) in loader:
            masked(model(batch[:, :-1]), batch[:, 1:]).backward()
            optimizer.step()
    assert "sequences" not in watch.record.facts


def test_a_token_that_is_at_home_inside_shows_there() -> None:
    """Half of all tokens are 0, also between others."""
    rows = torch.tensor([[1, 0, 2, 0, 3, 0], [2, 0, 0, 1, 0, 0]])
    assert found(rows)["interior"] > 0.3


@pytest.mark.parametrize(("inputs", "agree"), [(ROWS, 1.0), (ROWS.clone().fill_(1).cumsum(1) % 5, 1 / 3)])
def test_inputs_are_compared_where_the_targets_are_padded(inputs: Tensor, agree: float) -> None:
    """Inputs that are padded as well agree in every row; ones that go on only in a run of two, within a token."""
    assert found(inputs=inputs, rows=ROWS)["inputs"] == agree
