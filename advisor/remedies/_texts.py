"""Training texts, as strings of the data set before the loader's `collate_fn` makes tokens of them -> rewritten ones.

The loader stays the same object, and has its own data set back when the loop is over.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from torch.utils.data import Dataset, IterableDataset, get_worker_info

from advisor.errors import CannotApply
from advisor.fence import untouched
from advisor.remedies import Session
from advisor.remedies._random import seed_of

Rewrite = Callable[[str, random.Random], str]
LOOKS = 64  # items among which one must have a text that can be rewritten


def look_at(session: Session, remedy: str) -> tuple[Any, list[str]]:
    """The training loader, and the texts of its first items. Raises: CannotApply where there is no loader for it."""
    loader: Any = session.train
    if loader is None or isinstance(loader.dataset, IterableDataset):
        raise CannotApply("expected a training loader over a data set with a length", context=remedy)
    own = loader.dataset
    with untouched():
        texts = [text_of(own[index]) for index in range(min(LOOKS, len(own)))]
    return loader, [text for text in texts if text is not None]


def rewrite_texts(session: Session, loader: Any, remedy: str, rewrite: Rewrite) -> None:
    """Until the loop is left. What draws has generators of its own, seeded by the run's seed."""
    own = loader.dataset
    # below the guard of DataLoader.__setattr__: the loader stays the same object
    loader.__dict__["dataset"] = Rewritten(own, rewrite, seed_of(remedy))
    session.on_leave(lambda: loader.__dict__.update(dataset=own))


class Rewritten(Dataset[Any]):
    """A data set whose texts are others each time."""

    def __init__(self, dataset: Any, rewrite: Rewrite, seed: int) -> None:
        self.dataset, self.rewrite, self.seed, self.given = dataset, rewrite, seed, 0

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        worker = get_worker_info()
        # a worker's copy begins anew in each epoch, with another seed of the loader's
        draws = random.Random(f"{self.seed} {worker.seed if worker is not None else 0} {self.given}")
        self.given += 1
        return rewritten(self.dataset[index], lambda text: self.rewrite(text, draws))

    def __getattr__(self, name: str) -> Any:
        """What a script asks of its own data set."""
        if name.startswith("__") or "dataset" not in vars(self):
            raise AttributeError(name)
        return getattr(self.dataset, name)


def text_of(item: Any) -> str | None:
    """The longest string of an item: the item itself, or a part of a tuple, a list or a dictionary."""
    if isinstance(item, str):
        return item
    parts = item.values() if isinstance(item, Mapping) else item if isinstance(item, tuple | list) else ()
    return max((part for part in parts if isinstance(part, str)), key=len, default=None)


def rewritten(item: Any, rewrite: Callable[[str], str]) -> Any:
    """A copy of an item with its text rewritten."""
    text = text_of(item)
    if text is None:
        return item
    if item is text:
        return rewrite(text)
    if isinstance(item, Mapping):
        return {key: rewrite(text) if value is text else value for key, value in item.items()}
    parts = [rewrite(text) if part is text else part for part in item]
    return type(item)(*parts) if hasattr(item, "_fields") else type(item)(parts)
