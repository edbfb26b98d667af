"""What reaches loaders and losses -> facts of samples, inputs, targets and labels: exact, by construction."""

from __future__ import annotations

import math
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

import advisor
from advisor.instruments._identity import identities
from advisor.instruments._mixing import expected_entropy, mixing_of_classes, mixing_of_values
from advisor.instruments._moments import Moments
from advisor.instruments.labels import Labels
from advisor.instruments.margins import margins
from advisor.instruments.targets import described
from advisor.losses import LossCall

Loader = DataLoader[Any]


def rows(count: int, seed: int = 0, width: int = 6) -> Tensor:
    """Normal numbers: no two rows are alike."""
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def labels(count: int, classes: int = 2) -> Tensor:
    """0, 1, 0, 1, …"""
    return torch.arange(count) % classes


def facts(train: Iterable[Any], val: Iterable[Any], *, classes: int = 2, epochs: int = 2, model: Any = None) -> Any:
    """The facts of a loop that trains on the one and validates on the other."""
    torch.manual_seed(0)
    model = model or nn.Linear(6, classes)
    watch = advisor.watch(range(epochs), model, torch.optim.SGD(model.parameters(), 0.01), report=False)
    for _ in watch:
        model.train()
        for x, y in train:
            functional.cross_entropy(model(x), y).backward()
            watch_step(model)
        model.eval()
        with torch.no_grad():
            for x, y in val:
                functional.cross_entropy(model(x), y)
    assert watch.record.problems == ()
    return watch.record.facts


def watch_step(model: nn.Module) -> None:
    """Forget the gradients: the weights stay as they are."""
    for parameter in model.parameters():
        parameter.grad = None


def loader(x: Tensor, *, shuffle: bool = False, size: int = 8, y: Tensor | None = None) -> Loader:
    return DataLoader(TensorDataset(x, labels(len(x)) if y is None else y), size, shuffle=shuffle)


class Noisy(Dataset[Any]):
    """The same rows with other noise whenever they are asked for."""

    def __init__(self, count: int) -> None:
        self.x, self.y = rows(count, seed=9), labels(count)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index] + torch.randn(6), self.y[index]


# ------------------------------------------------------------------------------------------------------- who they are


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8]
)
def test_equal_rows_have_equal_identities_and_others_do_not(dtype: torch.dtype) -> None:
    """Of 256 rows, told apart by one number each, all identities differ; a copy has the same."""
    x = torch.zeros(256, 3000)
    x[:, 0] = torch.arange(256)  # of a long row some numbers are read, the first among them
    x = x.to(dtype)
    found = identities([x])
    assert len(found.unique()) == 256
    assert torch.equal(found, identities([x.clone()]))


def test_an_identity_is_of_all_inputs_together() -> None:
    """(user, item): two rows with the same user and other items are two samples; so is the pair turned around."""
    user, item = torch.tensor([[1], [1], [2]]), torch.tensor([[5], [6], [5]])
    assert len(identities([user, item]).unique()) == 3
    assert not torch.equal(identities([user, item]), identities([item, user]))


def test_identities_draw_no_random_number() -> None:
    """The user's generator is where it was."""
    before = torch.get_rng_state()
    identities([rows(8)])
    assert torch.equal(before, torch.get_rng_state())


def test_samples_are_counted() -> None:
    """Forty rows of which ten are copies: 30 are distinct, and 20 are not alone; all come again, in the same order."""
    x = rows(30)
    found = facts(loader(torch.cat([x, x[:10]])), loader(rows(16, 1)))["train_identities"]
    assert (found["data_set"], found["given"], found["read"], found["distinct"]) == (40, 40, 40, 30)
    assert (found["copies"], found["again"], found["same_order"]) == (0.5, 1.0, True)
    assert (found["sampler"], found["shared"]) == ("SequentialSampler", 0)


def test_a_shuffled_epoch_has_the_same_samples_in_another_order() -> None:
    """All come again, elsewhere."""
    found = facts(loader(rows(64), shuffle=True), loader(rows(16, 1)))["train_identities"]
    assert (found["again"], found["same_order"]) == (1.0, False)


def test_copies_of_training_samples_in_validation_are_counted() -> None:
    """Six of sixteen validation rows are training rows; none of them is new in the second epoch."""
    x = rows(40)
    found = facts(loader(x, shuffle=True), loader(torch.cat([x[:6], rows(10, 1)])))["val_identities"]
    assert (found["read"], found["in_training"], found["again"], found["same_targets"]) == (16, 6, 1.0, True)
    assert (found["change"], found["stream"], found["shared_indices"]) == (0.0, False, None)


def test_inputs_that_change_while_their_targets_stay_are_told() -> None:
    """Noise of the size of the rows: nothing comes again, and the mean change is about one deviation."""
    found = facts(loader(rows(40)), DataLoader(Noisy(32), 8))["val_identities"]
    assert (found["again"], found["same_targets"]) == (0.0, True)
    assert 0.5 < found["change"] < 1.5


def test_two_subsets_of_one_data_set_share_indices() -> None:
    """0 … 29 and 20 … 39 have ten in common."""
    data = TensorDataset(rows(40), labels(40))
    train, val = DataLoader(Subset(data, range(30)), 8), DataLoader(Subset(data, range(20, 40)), 8)
    assert facts(train, val)["val_identities"]["shared_indices"] == 10


def test_what_one_data_set_is_validated_on_is_no_part_of_training() -> None:
    """Two samplers share a data set of forty: ten are for validation."""
    data = TensorDataset(rows(40), labels(40))
    train, val = DataLoader(data, 8, sampler=range(30)), DataLoader(data, 8, sampler=range(30, 40))
    found = facts(train, val)["train_identities"]
    assert (found["data_set"], found["given"], found["shared"]) == (40, 30, 10)


def test_rows_of_few_values_have_few_bits() -> None:
    """Six columns of yes or no: six bits name a row."""
    x = torch.tensor([[float(i >> bit & 1) for bit in range(6)] for i in range(64)])
    assert facts(loader(rows(16)), loader(x))["val_identities"]["bits"] == pytest.approx(6.0)


# --------------------------------------------------------------------------------------------------- what they are like


def test_pooled_moments_are_those_of_the_whole() -> None:
    """Against numpy on all rows at once, with a mean a thousand times the deviation."""
    x = 1000.0 + rows(90, width=3) * torch.tensor([1.0, 0.1, 10.0])
    moments = Moments()
    for part in x.split(40):
        moments.add(part)
    pooled = moments.pooled()
    assert pooled is not None
    assert pooled[0] == pytest.approx(x.double().numpy().mean(0), rel=1e-6)
    assert pooled[1] == pytest.approx(x.double().numpy().std(0), rel=1e-3)


@pytest.mark.parametrize(
    ("shape", "features"), [((8, 5), 5), ((8, 3, 9, 9), 3), ((8, 20, 4), 4), ((8, 4, 20), 4), ((8,), 1)]
)
def test_a_feature_is_a_column_a_channel_or_a_variable(shape: tuple[int, ...], features: int) -> None:
    """Tables, images, and series in either layout."""
    moments = Moments()
    moments.add(torch.zeros(shape))
    pooled = moments.pooled()
    assert pooled is not None
    assert len(pooled[0]) == features


def test_inputs_are_compared_as_the_model_gets_them() -> None:
    """The loop doubles training inputs and forgets to in validation: half of the spread there."""
    x = rows(64)
    torch.manual_seed(0)
    model = nn.Linear(6, 2)
    watch = advisor.watch(range(2), model, torch.optim.SGD(model.parameters(), 0.01), report=False)
    for _ in watch:
        for xb, yb in loader(x):
            functional.cross_entropy(model(2 * xb), yb).backward()
            watch_step(model)
        with torch.no_grad():
            for xb, yb in loader(x):
                functional.cross_entropy(model(xb), yb)
    found = watch.record.facts["inputs"]
    assert isinstance(found, dict)
    assert (found["level"], found["features"], found["spread"]) == ("model", 6, pytest.approx(0.5, abs=0.1))


def test_what_enters_the_first_layer_is_described() -> None:
    """A column of 3 and one of ±20, behind a layer without parameters."""
    x = torch.stack([torch.full((32,), 3.0), 20.0 * (2.0 * labels(32) - 1.0)], 1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    found = facts(loader(x), loader(x), model=model)["first_layer_input"]
    assert (found["layer"], found["kind"], found["features"]) == ("1", "Linear", 2)
    assert (found["largest"], found["smallest"], found["offset"]) == (20.0, 20.0, 0.0)


def test_targets_are_described() -> None:
    """-1, 0, 1 over and over, and one of 1000: a 301st part, which holds nearly all squares."""
    found = described(np.array([-1.0, 0.0, 1.0] * 100 + [1000.0]), "regression")
    assert (found["median"], found["mad"], found["greatest"], found["distinct"]) == (0.0, 1.0, 1000.0, 4)
    assert found["outliers"] == pytest.approx(1 / 301, rel=1e-4)
    assert found["outlier_squares"] == pytest.approx(1e6 / (1e6 + 200), rel=1e-4)


def test_targets_that_a_loss_cannot_take_are_counted() -> None:
    """One of four is NaN; of a binary loss -1 is outside; of a classification it is ignored."""
    values = np.array([-1.0, 0.0, 1.0, math.nan])
    assert described(values, "binary")["not_finite"] == 0.25
    assert described(values, "binary")["outside"] == pytest.approx(1 / 3, rel=1e-4)
    assert described(values, "multiclass")["ignored"] == pytest.approx(1 / 3, rel=1e-4)


# ------------------------------------------------------------------------------------------------------------- labels


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
