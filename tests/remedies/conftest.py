"""Every test of a remedy has one thread, the same seed and a small WordNet."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_wordnet import write_wordnet


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of its files."""
    folder = write_wordnet(tmp_path / "wordnet")
    monkeypatch.setenv("WNSEARCHDIR", str(folder))
    return folder
