"""Every test of an instrument draws the same numbers, whatever ran before it."""

from __future__ import annotations

import pytest
import torch

torch.manual_seed(0)  # for layers that are made while the tests are collected


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
