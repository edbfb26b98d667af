"""`advisor.watch` sees the validation of a loop, as it is written, or validates itself."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from small_loop import step
from torch.nn import functional

import advisor


def test_validation_is_seen_as_the_tutorial_writes_it(parts: Any) -> None:
    """A `test()` with reduction="sum" and argmax: mean loss and accuracy come out as the function computes them."""
    model, optimizer, train, val = parts
    losses, scores = [], []

    def test() -> None:
        model.eval()
        total, right = 0.0, 0
        with torch.no_grad():
            for x, y in val:
                output = model(x)
                total += functional.cross_entropy(output, y, reduction="sum").item()
                right += int((output.argmax(1) == y).sum())
        losses.append(total / len(val.dataset))
        scores.append(right / len(val.dataset))

    watch = advisor.watch(range(2), model, optimizer, report=False)
    for _ in watch:
        model.train()
        for x, y in train:
            step(model, optimizer, x, y)
        test()
    epochs = watch.record.epochs
    assert epochs["val_loss"].to_numpy() == pytest.approx(losses, rel=1e-5)
    assert epochs["val_accuracy"].to_numpy() == pytest.approx(scores)
    assert watch.record.facts["val_samples"] == len(val.dataset)


def test_validation_without_a_loss_is_judged_by_the_batch(parts: Any) -> None:
    """A loop that only counts right answers still gets val_loss and val_accuracy."""
    model, optimizer, train, val = parts
    scores = []
    watch = advisor.watch(range(2), model, optimizer, report=False)
    for _ in watch:
        model.train()
        for x, y in train:
            step(model, optimizer, x, y)
        model.eval()
        with torch.no_grad():
            scores.append(sum(int((model(x).argmax(1) == y).sum()) for x, y in val) / len(val.dataset))
    assert watch.record.epochs["val_accuracy"].to_numpy() == pytest.approx(scores)


def test_an_evaluation_on_the_training_data_is_not_taken_for_validation(parts: Any) -> None:
    """Accuracy on the training loader under no_grad leaves `val_loss` alone."""
    model, optimizer, train, val = parts
    expected = []
    watch = advisor.watch(range(2), model, optimizer, report=False)
    for _ in watch:
        for x, y in train:
            step(model, optimizer, x, y)
        with torch.no_grad():
            for x, y in train:
                functional.cross_entropy(model(x), y)
            values = [functional.cross_entropy(model(x), y).item() for x, y in val]
        expected.append(np.mean(values))
    assert watch.record.epochs["val_loss"].to_numpy() == pytest.approx(expected, rel=1e-6)


def test_one_loader_for_both_is_told_apart_by_the_grad_mode(parts: Any) -> None:
    """The same object as train and val: losses with gradients train, losses without validate."""
    model, optimizer, train, _ = parts
    trained, validated = [], []
    watch = advisor.watch(range(2), model, optimizer, train=train, val=train, report=False)
    for _ in watch:
        trained.append(np.mean([step(model, optimizer, x, y) for x, y in train]))
        with torch.no_grad():
            validated.append(np.mean([functional.cross_entropy(model(x), y).item() for x, y in train]))
    epochs = watch.record.epochs
    assert epochs["train_loss"].to_numpy() == pytest.approx(trained, rel=1e-6)
    assert epochs["val_loss"].to_numpy() == pytest.approx(validated, rel=1e-6)


def test_where_the_loop_never_validates_watch_does(parts: Any) -> None:
    """Own evaluation on `val=` gives what an evaluation by hand gives."""
    model, optimizer, train, val = parts
    expected = []
    watch = advisor.watch(range(2), model, optimizer, train=train, val=val, report=False)
    for _ in watch:
        for x, y in train:
            step(model, optimizer, x, y)
        with torch.no_grad():
            x, y = val.dataset.tensors
            expected.append((model(x).argmax(1) == y).float().mean().item())
    assert watch.record.epochs["val_accuracy"].to_numpy() == pytest.approx(expected)
    assert watch.record.facts["own_evaluation"] is True


def test_a_list_is_validation_data_after_a_loader_that_was_cut_short(parts: Any) -> None:
    """Training on the first batches of a stream, then evaluating on batches held in a list."""
    model, optimizer, train, val = parts
    held, losses = list(val), []
    watch = advisor.watch(range(2), model, optimizer, report=False)
    for _ in watch:
        model.train()
        for x, y in itertools.islice(train, 2):
            step(model, optimizer, x, y)
        model.eval()
        with torch.no_grad():
            losses.append(np.mean([functional.cross_entropy(model(x), y).item() for x, y in held]))
    assert watch.record.epochs["val_loss"].to_numpy() == pytest.approx(losses, rel=1e-6)


def test_of_several_losses_the_main_one_is_compared(parts: Any) -> None:
    """A second term on targets of the loop's own: validation is that of the batch's target, not the mean of the two."""
    model, optimizer, train, val = parts
    losses = []
    watch = advisor.watch(range(2), model, optimizer, report=False)
    for _ in watch:
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            output = model(x)
            (functional.mse_loss(output, torch.zeros_like(output)) + functional.cross_entropy(output, y)).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for x, y in val:
                functional.mse_loss(model(x), torch.zeros(len(x), 2))
                losses.append(functional.cross_entropy(model(x), y).item())
    means = np.array(losses).reshape(2, -1).mean(1)
    assert watch.record.info.task == "multiclass"
    assert watch.record.epochs["val_loss"].to_numpy() == pytest.approx(means, rel=1e-6)
