"""Batches of every form -> the fact `input_batch`, from the first batch of a watched loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import advisor
from advisor.evidence import Evidence
from advisor.record import Json
from advisor.remedies._batches import Seen, batch_seen


def fact(sample: Any) -> tuple[Json, Seen | None]:
    """What a loop over eight of the same sample leaves, and what a remedy reads of it."""
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    train = DataLoader([sample] * 8, batch_size=4)
    watch = advisor.watch(range(1), model, optimizer, train=train, report=False)
    for _ in watch:
        for _ in train:
            model(torch.zeros(4, 2)).sum().backward()
            optimizer.step()
    assert watch.record.problems == ()
    return watch.record.facts.get("input_batch"), batch_seen(Evidence(watch.record))


IMAGE = {"shape": [4, 3, 8, 8], "dtype": "uint8", "target_shape": [4], "target_dtype": "int64"}


@pytest.mark.parametrize(
    ("sample", "expected", "seen"),
    [
        (
            (torch.zeros(3, 8, 8, dtype=torch.uint8), 1),
            IMAGE,
            Seen((4, 3, 8, 8), floating=False, bytes=True, target_shape=(4,)),
        ),
        (
            {"input_ids": torch.zeros(5, dtype=torch.long), "labels": torch.zeros(2)},
            {"shape": [4, 5], "dtype": "int64", "target_shape": [4, 2], "target_dtype": "float32"},
            Seen((4, 5), floating=False, bytes=False, target_shape=(4, 2)),
        ),
        (
            (torch.zeros(6), torch.zeros(1)),
            {"shape": [4, 6], "dtype": "float32", "target_shape": [4, 1], "target_dtype": "float32"},
            Seen((4, 6), floating=True, bytes=False, target_shape=(4, 1)),
        ),
        (
            torch.zeros(6),
            {"shape": [4, 6], "dtype": "float32", "target_shape": None, "target_dtype": None},
            Seen((4, 6), floating=True, bytes=False, target_shape=None),
        ),
        ("text", None, None),
    ],
    ids=["images", "tokens", "table", "alone", "strings"],
)
def test_shapes_and_types(sample: Any, expected: Mapping[str, Json] | None, seen: Seen | None) -> None:
    """Tuples, dictionaries, a tensor alone, and a batch without one."""
    assert fact(sample) == (expected, seen)
