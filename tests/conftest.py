"""Every test has a store and a working directory of its own, and leaves no orders to the next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ADVISOR_STORE", str(tmp_path / "store" / "advisor.db"))
    monkeypatch.chdir(tmp_path)
    yield
    from advisor import assignment

    assignment.assign(None)
