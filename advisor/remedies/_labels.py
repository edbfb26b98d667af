"""A training loader's data set -> the class of its samples, read without the loader and without a random number.

Quick where the labels lie in a tensor, or in `targets` or `labels` as data sets of torchvision have them; those are
compared with a few samples first. Otherwise samples are read one after the other, at most `MOST_READ` of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset, TensorDataset, default_collate

from advisor.errors import CannotApply
from advisor.fence import untouched
from advisor.instruments._leaves import target_of
from advisor.remedies import Session
from advisor.remedies._sampling import mapped_loader

MOST_READ = 5000  # samples: a share of one in a hundred is then known within a seventh; some seconds of reading
MOST_CLASSES = 1000  # more different numbers are no classes
PROVEN = 16  # samples whose label is compared: labels that were shuffled or mapped agree on all by no chance
BATCH = 100  # samples read at once: nothing depends on it
KEPT = ("targets", "labels")  # torchvision's data sets; SVHN and STL10


def labels_of(session: Session, remedy: str, *, every: bool) -> tuple[list[int], Tensor]:
    """Indices of the samples that the loader may draw, and (n,) their classes from 0.

    every: all of them, or none; otherwise evenly spread ones where all are too many to be read.
    Raises: CannotApply where there is not one class a sample.
    """
    loader = mapped_loader(session, remedy)
    indices = getattr(loader.sampler, "indices", None)  # a loader over a part of a data set
    drawn = [int(i) for i in indices] if indices is not None else list(range(len(loader.dataset)))
    with untouched():
        kept = _kept(loader)
        if kept is None and every and len(drawn) > MOST_READ:
            raise CannotApply(f"the labels of {len(drawn)} samples would have to be read one by one", context=remedy)
        if kept is None:
            drawn = _spread(drawn, MOST_READ)
        labels = _read(loader, drawn) if kept is None else kept[drawn]
    classes = None if labels is None or len(labels) != len(drawn) else _classes(labels)
    if classes is None:
        raise CannotApply("expected one class a sample in the training data", context=remedy)
    return drawn, classes


def _spread(of: list[int], most: int) -> list[int]:
    """At most so many of them, evenly spread."""
    return of if len(of) <= most else [of[i * len(of) // most] for i in range(most)]


def _kept(loader: Any) -> Tensor | None:
    """All labels, where the data set has them in one piece."""
    data, chosen = loader.dataset, None
    while isinstance(data, Subset):
        indices = torch.as_tensor(data.indices)
        data, chosen = data.dataset, indices if chosen is None else indices[chosen]
    plain = isinstance(data, TensorDataset) and loader.collate_fn is default_collate
    if plain:
        found: Any = data.tensors[-1] if len(data.tensors) > 1 else None
    else:
        found = next((getattr(data, name) for name in KEPT if getattr(data, name, None) is not None), None)
    try:
        labels = torch.as_tensor(found) if found is not None and len(found) == len(data) else None
    except (TypeError, ValueError, RuntimeError):
        return None
    labels = labels if labels is None or chosen is None else labels[chosen]
    if labels is None or plain:
        return labels
    at = _spread(list(range(len(labels))), PROVEN)
    seen = _read(loader, at)
    return labels if seen is not None and seen.shape == labels[at].shape and bool((seen == labels[at]).all()) else None


def _read(loader: Any, at: list[int]) -> Tensor | None:
    """Targets of these samples, as the loader puts batches together; None where it has none."""
    if loader.batch_sampler is None:
        return None  # a sample may be a whole batch
    ours = DataLoader(Subset(loader.dataset, at), batch_size=BATCH, collate_fn=loader.collate_fn)
    targets = [target_of(batch) for batch in ours]
    known = [target for target in targets if target is not None]
    return torch.cat(known) if known and len(known) == len(targets) else None


def _classes(labels: Tensor) -> Tensor | None:
    """(n,) whole numbers from 0; None where labels are numbers, several a sample, or all different."""
    if labels.dim() == 2 and labels.shape[1] > 1:
        one_hot = bool(((labels == 0) | (labels == 1)).all()) and bool((labels.sum(1) == 1).all())
        return labels.argmax(1) if one_hot else None
    if labels.dim() == 0 or labels[0].numel() != 1 or labels.is_complex():
        return None
    flat = labels.reshape(-1)
    whole = flat.long()
    if bool((whole != flat).any()) or int(whole.min()) < 0 or int(whole.max()) >= MOST_CLASSES:
        return None
    several = int((whole.bincount() > 0).sum())
    return whole if 2 * several <= len(whole) else None
