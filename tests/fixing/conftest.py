"""Every test of `fix` has a store of its own, and says which remedies there are."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from worlds import Given, only

from advisor.store import Store


@pytest.fixture
def remedies(monkeypatch: pytest.MonkeyPatch) -> Given:
    """Makes these the only remedies that there are."""
    return partial(only, monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "advisor.db"))
