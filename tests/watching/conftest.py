"""The parts of a small training, for the tests that watch one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_loop import data
from torch import nn
from torch.utils.data import DataLoader


@pytest.fixture
def parts() -> tuple[nn.Module, torch.optim.Optimizer, DataLoader[Any], DataLoader[Any]]:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    return model, optimizer, DataLoader(data(), 16, shuffle=True), DataLoader(data(1), 32)
