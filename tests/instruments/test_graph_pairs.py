"""A loss that is written out by hand -> whether it pairs every prediction with every target, read from its graph."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from advisor.instruments._graph import enlarging_difference

N = 4
T = torch.tensor([0.0, 1.0, 1.0, 0.0])
Loss = Callable[[Tensor], Tensor]
PAIRED: dict[str, Loss] = {
    "a squared error": lambda p: ((p - T) ** 2).mean(),
    "a cross entropy": lambda p: -(T * p.log() + (1 - T) * (1 - p).log()).mean(),
    "a hinge": lambda p: (1 - (2 * T - 1) * p).clamp(min=0).mean(),
}


def prediction() -> Tensor:
    """(N, 1) probabilities that were computed from something."""
    return (torch.ones(N, 1, requires_grad=True) * 0.5).sigmoid()


@pytest.mark.parametrize("loss", PAIRED.values(), ids=list(PAIRED))
def test_a_column_against_a_row_is_found_in_a_loss_by_hand(loss: Loss) -> None:
    """(4, 1) and (4,) become (4, 4); with one shape for both there is nothing to find."""
    assert ((N, 1), (N, N)) == enlarging_difference(loss(prediction()).grad_fn)
    assert enlarging_difference(loss(prediction().squeeze(1)).grad_fn) is None


@pytest.mark.parametrize(
    "loss",
    [
        lambda p: (p * torch.eye(N)).sum(),
        lambda p: (p[:, 0][:, None] * T).sum(),
        lambda p: (p * 3.0).sum(),
        lambda p: (p * torch.ones(N, 1)).sum(),
    ],
    ids=["a matrix", "all pairs by [:, None]", "a number", "weights of one shape"],
)
def test_products_that_are_meant_are_left_alone(loss: Loss) -> None:
    """A constant with a row for each sample and a column for each pair says what it wants."""
    assert enlarging_difference(loss(prediction()).grad_fn) is None


def test_features_of_an_input_are_no_pairs_of_predictions() -> None:
    """Random features sin(x * w) of a coordinate that a derivative is taken by: as many as there are samples."""
    x = torch.linspace(0, 1, N)[:, None].requires_grad_()
    assert enlarging_difference((x * T).sin().sum().grad_fn) is None
