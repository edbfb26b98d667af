"""The number of our own that a verdict may go by: in eval mode, without copies of training samples, by class."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.assignment import Assignment, assign
from advisor.record import Record


def blobs(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(samples) % 2
    return torch.randn(samples, 4, generator=generator) + labels[:, None], labels


def trained(
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    *,
    dropout: float = 0.0,
    eval_mode: bool = True,
    judging: float = 0.1,
    planned: int = 4,
) -> tuple[Record, nn.Module]:
    """Four epochs, or fewer, as a trial of `advisor fix` makes them."""
    torch.manual_seed(0)
    assign(Assignment(session=1, judging=judging, quiet=True))
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loaders = [DataLoader(TensorDataset(*data), batch_size=16) for data in (train, val)]
    watch = advisor.watch(range(planned), model, optimizer, report=False)
    for epoch in watch:
        if epoch == 4:
            break
        model.train()
        for x, y in loaders[0]:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        model.train(not eval_mode)
        with torch.no_grad():
            for x, y in loaders[1]:
                F.cross_entropy(model(x), y)
    return watch.record, model.eval()


def last(record: Record, name: str) -> float:
    return float(record.series[name].values[-1, 0])


def test_a_sound_validation_leaves_no_gap() -> None:
    """Ours is the loop's own number, loss and accuracy, to rounding."""
    record, _ = trained(blobs(64, 1), blobs(48, 2))
    assert last(record, "val_gap") == 0.0
    assert last(record, "independent_accuracy") == pytest.approx(last(record, "val_accuracy"))
    assert last(record, "independent_loss") == pytest.approx(last(record, "val_loss"), rel=1e-6)


def test_validation_in_train_mode_leaves_one() -> None:
    """Ours is that of the model in eval mode; the gap is the distance of the loop's own."""
    val = blobs(480, 2)
    record, model = trained(blobs(64, 1), val, dropout=0.8, eval_mode=False)
    true = float((model(val[0]).argmax(1) == val[1]).float().mean())
    assert last(record, "independent_accuracy") == pytest.approx(true)
    assert last(record, "val_gap") == pytest.approx(abs(true - last(record, "val_accuracy")), abs=1e-6)
    assert last(record, "val_gap") > 0.02


def test_copies_of_training_samples_are_left_out() -> None:
    """Half of the validation data is training data; ours counts the other half only."""
    train, fresh = blobs(64, 1), blobs(32, 2)
    record, model = trained(train, (torch.cat([train[0][:32], fresh[0]]), torch.cat([train[1][:32], fresh[1]])))
    outputs = model(fresh[0]).detach()
    assert last(record, "independent_accuracy") == pytest.approx(float((outputs.argmax(1) == fresh[1]).float().mean()))
    assert last(record, "independent_loss") == pytest.approx(float(F.cross_entropy(outputs, fresh[1])), rel=1e-5)


def test_balanced_accuracy_is_the_mean_of_recalls() -> None:
    """Nine of ten samples are of one class: each class counts alike."""
    inputs, labels = blobs(200, 2)
    keep = torch.cat([(labels == 0).nonzero()[:90, 0], (labels == 1).nonzero()[:10, 0]])
    val = inputs[keep], labels[keep]
    record, model = trained(blobs(64, 1), val)
    predicted = model(val[0]).argmax(1)
    recalls = [float((predicted[val[1] == c] == c).float().mean()) for c in (0, 1)]
    assert last(record, "independent_balanced_accuracy") == pytest.approx(sum(recalls) / 2)


def test_the_training_is_the_same_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every weight, bit for bit, with dropout drawing from the user's random state."""
    data = blobs(64, 1), blobs(48, 2)
    _, watched = trained(*data, dropout=0.5, eval_mode=False)
    monkeypatch.setattr("advisor.independent.Independent.due", lambda *_: False)
    _, plain = trained(*data, dropout=0.5, eval_mode=False)
    assert all(torch.equal(a, b) for a, b in zip(watched.parameters(), plain.parameters(), strict=True))


@pytest.mark.parametrize(("planned", "measured"), [(4, [0, 1, 2, 3]), (20, [0, 3])])
def test_the_end_is_measured_whatever_it_costs(planned: int, measured: list[int]) -> None:
    """The last three of the planned epochs, and the last one of a loop that ends before them."""
    record, _ = trained(blobs(64, 1), blobs(48, 2), judging=1e-9, planned=planned)
    assert record.series["independent_loss"].epochs.tolist() == measured


def test_a_run_of_the_users_own_pays_for_none() -> None:
    """Only trials that were told to measure it."""
    torch.manual_seed(0)
    record, _ = trained(blobs(64, 1), blobs(48, 2))
    assert "independent_loss" in record.series
    assign(None)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(*blobs(32, 1)), batch_size=16)
    watch = advisor.watch(range(2), model, optimizer, F.cross_entropy, val=loader, report=False)
    for _ in watch:
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert not [name for name in watch.record.series if name.startswith("independent")]
