"""A test of trials on this machine asks for one thread, and leaves no process behind."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """This process has computed; one thread is what its forks can use."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    with pytest.raises(ChildProcessError, match="No child"):  # every child was reaped
        os.waitpid(-1, os.WNOHANG)
