"""The parameter whose gradient is followed at every step may have any shape."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from watched import every_step, usual, watched  # noqa: F401  a fixture

pytestmark = pytest.mark.usefixtures("every_step")


class Shifted(nn.Module):
    """A linear layer behind a number that is added to everything, such as the global mean of a recommender."""

    def __init__(self) -> None:
        super().__init__()
        self.shift, self.line = nn.Parameter(torch.zeros(())), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.line(x + self.shift)
        return output


def test_the_sentinel_may_be_a_single_number() -> None:
    """A parameter without a dimension has a norm at every step, and a peak in both epochs."""
    model = Shifted()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    record = watched(model, optimizer, usual(model, optimizer))
    assert record.series["gradient_peak"].values.shape == (2, 1)
