"""`advisor.watch` sees the training of a loop, as it is written: its losses, its steps and what they do."""

from __future__ import annotations

import gc
import inspect
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from small_loop import data, step
from torch import nn
from torch.nn import functional
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, IterableDataset

import advisor
from advisor.store import Store


def test_train_loss_is_the_mean_over_all_steps_of_the_epoch(parts: Any) -> None:
    """`train_loss` equals what the loop itself would have averaged."""
    model, optimizer, train, _ = parts
    means = []
    watch = advisor.watch(range(3), model, optimizer, report=False)
    for _ in watch:
        means.append(np.mean([step(model, optimizer, x, y) for x, y in train]))
    assert watch.record.epochs["train_loss"].to_numpy() == pytest.approx(means, rel=1e-6)
    assert watch.record.info.status == "finished"


class Both(nn.Module):
    """Returns (logits, loss), as language models do, with a loss of its own making."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.layer(x)
        return logits, -logits.log_softmax(1).gather(1, y[:, None]).mean()


def test_a_model_that_returns_its_own_loss_is_understood() -> None:
    """No loss function is called anywhere: the loss is what backward began at."""
    model = Both()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, y = data().tensors
    losses = []
    watch = advisor.watch(range(150), model, optimizer, report=False)
    for _ in watch:
        optimizer.zero_grad()
        _, loss = model(x, y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    record = watch.record
    assert record.steps["step_loss"].iloc[0] == pytest.approx(losses[0])
    assert record.epochs["train_loss"].iloc[-1] == pytest.approx(losses[-1], abs=0.01)


def test_two_optimizers_make_one_step(parts: Any) -> None:
    """A round of both is one step; the norms of both appear in one sample."""
    model, _, train, _ = parts
    both = [torch.optim.SGD(model[0].parameters(), 0.1), torch.optim.SGD(model[2].parameters(), 0.2)]
    watch = advisor.watch(range(2), model, both, report=False)
    for _ in watch:
        for x, y in train:
            functional.cross_entropy(model(x), y).backward()
            for optimizer in both:
                optimizer.step()
                optimizer.zero_grad()
    record = watch.record
    assert record.last_step == 2 * len(train)
    assert record.series["lr"].values[0].tolist() == pytest.approx([0.1, 0.2])
    assert record.series["weight_norm"].axis == ("0", "2")
    assert (record.series["weight_norm"].values > 0).all()


def test_norms_and_update_ratio_are_those_of_the_step() -> None:
    """One linear layer, SGD: ‖Δw‖ = lr ‖g‖, and all three norms are as computed by hand."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    x, y = torch.randn(5, 3), torch.tensor([0, 1, 0, 1, 0])
    watch = advisor.watch(range(1), model, optimizer, report=False)
    for _ in watch:
        weight = torch.cat([p.detach().reshape(-1) for p in model.parameters()]).norm().item()
        functional.cross_entropy(model(x), y).backward()
        gradient = torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None]).norm().item()
        optimizer.step()
    series = watch.record.series
    assert series["grad_norm"].values[0, 0] == pytest.approx(gradient, rel=1e-5)
    assert series["weight_norm"].values[0, 0] == pytest.approx(weight, rel=1e-5)
    assert series["update_ratio"].values[0, 0] == pytest.approx(0.5 * gradient / weight, rel=1e-4)


def test_dead_units_are_counted_on_the_clean_pass() -> None:
    """Two of four hidden units have a bias that no input overcomes: half of layer 0 is dead."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([-100.0, -100.0, 100.0, 100.0]))
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    watch = advisor.watch(range(2), model, optimizer, report=False)
    for _ in watch:
        for x, y in DataLoader(data(), 16):
            step(model, optimizer, x, y)
    dead = watch.record.series["dead_units"]
    assert dead.axis == ("0", "2")
    assert dead.values[-1, 0] == 0.5


def test_a_loop_over_steps_becomes_windows(parts: Any) -> None:
    """1,000 single steps are 100 windows of 10, not 1,000 epochs."""
    model, optimizer, _, _ = parts
    x, y = data().tensors
    watch = advisor.watch(range(1000), model, optimizer, report=False)
    for _ in watch:
        step(model, optimizer, x, y)
    assert watch.record.info.step_based
    assert 95 <= watch.record.epochs_seen <= 101
    assert watch.record.last_step == 1000


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        for i in range(40):
            yield torch.full((4,), float(i % 3)), i % 2


def test_iterable_data_sets_are_watched() -> None:
    """No length, no index: the loss is there, and no own pass asks for what cannot be had."""
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loader = DataLoader(Endless(), 8)
    watch = advisor.watch(range(2), model, optimizer, train=loader, val=loader, report=False)
    for _ in watch:
        for x, y in loader:
            step(model, optimizer, x, y)
    assert watch.record.problems == ()
    assert len(watch.record.epochs["train_loss"]) == 2


def test_a_parameter_group_that_comes_later_lengthens_the_axis(parts: Any) -> None:
    """`add_param_group` in the middle of a run: its rate was not known before, and the record can be read back."""
    model, _, train, _ = parts
    optimizer = torch.optim.SGD(model[2].parameters(), 0.1)
    watch = advisor.watch(range(2), model, optimizer, report=False)
    for epoch in watch:
        if epoch == 1:
            optimizer.add_param_group({"params": list(model[0].parameters()), "lr": 0.01})
        for x, y in train:
            step(model, optimizer, x, y)
    lr = watch.record.series["lr"]
    assert lr.axis == ("0", "1")
    assert np.isnan(lr.values[0, 1])
    assert lr.values[-1].tolist() == pytest.approx([0.1, 0.01])
    stored = Store().record(watch.record.info.id)
    assert stored.series["lr"].axis == ("0", "1")
    assert np.array_equal(stored.series["lr"].values, lr.values, equal_nan=True)


def test_a_rate_of_counts_has_no_score(parts: Any) -> None:
    """Poisson regression on the log of the rate: an R² of that against the counts would mean nothing."""
    model, optimizer, train, _ = parts
    watch = advisor.watch(range(2), model, optimizer, report=False)
    for _ in watch:
        for x, y in train:
            optimizer.zero_grad()
            functional.poisson_nll_loss(model(x)[:, 0], y.float()).backward()
            optimizer.step()
    assert watch.record.info.task is None
    assert "train_r2" not in watch.record.series


def test_a_loss_under_a_name_of_the_users_own_is_seen(parts: Any) -> None:
    """`from torch.nn.functional import cross_entropy`, and `criterion = cross_entropy` in a function: task and
    validation are known all the same, and afterwards it is torch's own function, signature and all."""
    criterion = cross_entropy
    before = cross_entropy.__code__, inspect.signature(cross_entropy)
    model, optimizer, train, val = parts
    watch = advisor.watch(range(1), model, optimizer, report=False)
    for _ in watch:
        assert inspect.signature(criterion) == before[1]
        for x, y in train:
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for x, y in val:
                criterion(model(x), y)
    assert watch.record.info.task == "multiclass"
    assert "val_loss" in watch.record.series
    assert (cross_entropy.__code__, inspect.signature(cross_entropy)) == before
    assert not hasattr(cross_entropy, "__wrapped__")


def test_a_loss_that_is_no_plain_function_is_left_alone(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch that writes one otherwise, with a closure or in C: the loop runs, and the others are heard."""
    model, optimizer, train, _ = parts
    plain = functional.mse_loss
    monkeypatch.setattr(functional, "mse_loss", lambda *args, **kwargs: plain(*args, **kwargs))
    monkeypatch.setattr(functional, "ctc_loss", torch.ctc_loss)
    closed = functional.mse_loss
    watch = advisor.watch(range(1), model, optimizer, report=False)
    for _ in watch:
        for x, y in train:
            step(model, optimizer, x, y)
    assert watch.record.info.task == "multiclass"
    assert functional.mse_loss is closed


def test_no_graph_outlives_its_step() -> None:
    """A loss with a third tensor of the model's leaves nothing behind that only a collection of garbage frees."""
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(8, 4)
    alive: list[weakref.ref[torch.Tensor]] = []
    gc.collect()
    gc.disable()
    try:
        for _ in advisor.watch(range(3), model, optimizer, report=False):
            for _ in range(10):
                optimizer.zero_grad()
                third = model(x + 2)
                loss = functional.triplet_margin_loss(model(x), model(x + 1), third)
                loss.backward()
                optimizer.step()
                alive.append(weakref.ref(third))
        kept = sum(ref() is not None for ref in alive)
    finally:
        gc.enable()
    assert kept <= 2  # the loop's own variable, and the loss that is computed again
