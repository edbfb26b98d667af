"""A disk that is full where the output goes: one line and an exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("command", ["--help", "--version", "explain overfitting"])
def test_output_that_cannot_be_written(command: str) -> None:
    """No traceback, neither from the command nor when Python ends."""
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-m", "advisor", *command.split()]
        ended = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (2, "error: the output: cannot write: No space left on device\n") == (ended.returncode, ended.stderr)
