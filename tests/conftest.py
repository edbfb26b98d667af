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


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """`watch` looks closely at every step, whatever that costs."""
    from advisor.sampling import Sampling

    monkeypatch.setattr(Sampling, "wants", lambda *_: True)
    monkeypatch.setattr(Sampling, "next_after", lambda self, step: step + 1)
    monkeypatch.setattr(Sampling, "reads", lambda *_: True)
    monkeypatch.setattr(Sampling, "affords", lambda *_: True)
