"""A data set of numbers, and the order in which the loader of a session gives them."""

from __future__ import annotations

from typing import Any

from sessions import mlp, session_of, table
from torch.utils.data import DataLoader, Dataset

from advisor.remedies import Session


class Numbers(Dataset[int]):
    """Each sample is its own index."""

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> int:
        return index


def session_over(loader: DataLoader[Any] | None) -> Session:
    session = session_of(mlp(), table())
    session.train = loader
    return session


def drawn(loader: DataLoader[Any]) -> list[int]:
    return [int(index) for batch in loader for index in batch]
