"""Scores from sums over batches, against scikit-learn's and by hand."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import r2_score

from advisor.scores import added, score_from, score_sums


def r2_of(*batches: tuple[torch.Tensor, torch.Tensor]) -> float:
    sums = None
    for output, target in batches:
        more = score_sums("regression", "mse_loss", output, target)
        assert more is not None
        sums = added(sums, more)
    assert sums is not None
    return float(score_from("regression", sums))


def test_columns_far_apart_are_no_skill() -> None:
    """Answering each column's mean is guessing, R² = 0, though the columns lie at 1 and 1000."""
    target = torch.tensor([[0.0, 999.0], [2.0, 1001.0]])
    assert r2_of((target.mean(0).expand(2, 2), target)) == 0.0


def test_batches_add_up_to_the_variance_weighted_score() -> None:
    """Three batches of targets (N, 3) come to scikit-learn's score of all rows, weighted by the columns' variance."""
    torch.manual_seed(0)
    target = torch.randn(30, 3, dtype=torch.double) * torch.tensor([1.0, 5.0, 0.1]) + torch.tensor([0.0, 50.0, -7.0])
    output = target + torch.randn(30, 3, dtype=torch.double)
    expected = r2_score(target, output, multioutput="variance_weighted")
    assert expected == pytest.approx(r2_of(*zip(output.split(10), target.split(10), strict=True)), abs=1e-9)


def test_series_of_any_length_are_pooled() -> None:
    """Batches with 2 and with 3 columns have no column in common: one mean for all elements."""
    one, other = torch.tensor([[0.0, 2.0]]), torch.tensor([[0.0, 2.0, 1.0]])
    assert r2_of((torch.ones(1, 2), one), (torch.ones(1, 3), other)) == 0.0


def test_a_single_row_is_compared_with_its_own_mean() -> None:
    """It has no variance within its columns."""
    assert r2_of((torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 2.0]]))) == 0.0
