"""What reaches loaders and losses -> how labels are spread, and how each class fares: exact, by construction."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from handed import facts, loader, rows
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.instruments._mixing import expected_entropy, mixing_of_classes, mixing_of_values
from advisor.instruments.labels import Labels
from advisor.instruments.margins import margins
from advisor.losses import LossCall


def test_the_entropy_of_random_batches_is_exact() -> None:
    """Against a sum over all sequences of three draws from (0.2, 0.8)."""
    shares = {0: 0.2, 1: 0.8}
    total = 0.0
    for a in shares:
        for b in shares:
            for c in shares:
                part = (a + b + c) / 3
                entropy = -sum(p * math.log(p) for p in (part, 1 - part) if p > 0)
                total += shares[a] * shares[b] * shares[c] * entropy
    assert expected_entropy(np.array([0.2, 0.8]), 3) == pytest.approx(total)


def test_batches_of_one_class_do_not_mix() -> None:
    """Sorted: 0. Half and half in each of two classes: more than random batches have."""
    assert mixing_of_classes(np.array([[8.0, 0.0]] * 4 + [[0.0, 8.0]] * 4)) == 0.0
    balanced = mixing_of_classes(np.array([[4.0, 4.0]] * 8))
    assert balanced is not None
    assert balanced > 1.0


def test_batches_of_like_numbers_do_not_mix() -> None:
    """All variance lies between the batches: 0. Each batch is like the whole: a little more than random ones are."""
    between = np.array([[10.0, mean, 0.0] for mean in (-1.0, 1.0, -1.0, 1.0)])
    within = np.array([[10.0, 0.0, 1.0]] * 4)
    assert mixing_of_values(between) == 0.0
    assert mixing_of_values(within) == pytest.approx(10 / 9)


def test_labels_are_counted_and_validation_by_class() -> None:
    """A model that always says 0: recall 1 and 0, and the balanced accuracy is a half."""
    model = nn.Linear(6, 2)
    nn.init.zeros_(model.weight)
    with torch.no_grad():
        model.bias.copy_(torch.tensor([1.0, 0.0]))
    y = torch.tensor([0] * 30 + [1] * 10)
    found = facts(loader(rows(40), y=y, shuffle=True), loader(rows(40, 1), y=y), model=model)
    assert found["label_counts"]["count"] == [60.0, 20.0]
    assert found["val_classes"]["count"] == [30.0, 10.0]
    assert (found["val_classes"]["recall"], found["val_classes"]["predicted"]) == ([1.0, 0.0], [40.0, 0.0])
    assert found["val_classes"]["separation"] == [None, None]  # its score is the same for all


@pytest.mark.parametrize(
    ("binary", "loss_fn", "expected"),
    [
        (False, nn.CrossEntropyLoss(), None),
        (False, nn.CrossEntropyLoss(torch.tensor([0.25, 0.75])), [0.25, 0.75]),
        (False, lambda x, y: functional.nll_loss(x.log_softmax(1), y, torch.tensor([0.25, 0.75])), [0.25, 0.75]),
        (True, nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0])), [1.0, 3.0]),
        (True, nn.BCEWithLogitsLoss(torch.tensor([3.0])), None),
    ],
    ids=["none", "module", "function", "positive", "samples"],
)
def test_weights_of_the_classes_stand_beside_their_counts(
    binary: bool, loss_fn: Any, expected: list[float] | None
) -> None:
    """As the loss gets them; a weight of each sample is none."""
    y = torch.tensor([0] * 30 + [1] * 10)
    y = y.float()[:, None] if binary else y
    data = DataLoader(TensorDataset(rows(40), y), 10, shuffle=True)
    model = nn.Linear(6, 1 if binary else 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    watch = advisor.watch(range(2), model, optimizer, train=data, report=False)
    for _ in watch:
        for x, labels in data:
            optimizer.zero_grad()
            loss_fn(model(x), labels).backward()
            optimizer.step()
    counts = watch.record.facts["label_counts"]
    assert isinstance(counts, dict)
    assert (counts["count"], counts.get("weight")) == ([60.0, 20.0], expected)


def test_a_part_of_sorted_data_says_nothing_of_the_classes() -> None:
    """Six batches of a thousand samples were read, each of one class: no counts, rather than wrong ones."""
    found: dict[str, Any] = {}
    live: Any = SimpleNamespace(
        epoch=0, task="multiclass", loss_name="cross_entropy", samples=1000, fact=found.__setitem__
    )
    instrument = Labels()
    for label in (0, 0, 0, 1, 1, 1):
        target = torch.full((8,), label)
        instrument.train_batch(live, (rows(8), target))
        instrument.step_loss(live, LossCall("", torch.zeros(()), torch.zeros(8, 2), target, lambda *_: None))
    instrument.epoch_end(live)
    assert found == {"batch_mixing": 0.0}


def test_margins_are_the_label_s_score_less_the_highest_other() -> None:
    """Three classes, and one column."""

    def call(output: Tensor, target: Tensor) -> LossCall:
        return LossCall("", torch.zeros(()), output, target, lambda *_: None)

    live: Any = SimpleNamespace(task="multiclass", loss_name="cross_entropy")
    found = margins(live, call(torch.tensor([[3.0, 1.0, 0.0], [3.0, 1.0, 0.0]]), torch.tensor([0, 2])))
    assert found is not None
    assert found.tolist() == [2.0, -3.0]
    live.task = "binary"
    found = margins(live, call(torch.tensor([[2.0], [2.0]]), torch.tensor([[1.0], [0.0]])))
    assert found is not None
    assert found.tolist() == [2.0, -2.0]
