"""The remedies that every test of a resumed session has, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds import only, remedy


@pytest.fixture(autouse=True)
def _only_these_remedies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    only(
        monkeypatch, remedy("bad", "layers"), remedy("good", "inputs", (1.0, 2.0)), remedy("more", "decay"),
        remedy("crash", "loss"),
    )  # fmt: skip
