"""What a loop does between its model and its loss is found, so that our own passes compute the same loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.bridging import Bridge

Loss = Callable[[Tensor, Tensor], Tensor]

LOOPS: dict[str, tuple[tuple[int, ...], Loss]] = {
    "as it is": ((3,), lambda out, y: functional.cross_entropy(out, y)),
    "log_softmax outside": ((3,), lambda out, y: functional.nll_loss(functional.log_softmax(out, 1), y)),
    "sigmoid outside": ((1,), lambda out, y: functional.binary_cross_entropy(torch.sigmoid(out).squeeze(1), y.float())),
    "squeezed": ((1,), lambda out, y: functional.mse_loss(out.squeeze(), y.float())),
    "target made a column": ((1,), lambda out, y: functional.mse_loss(out, y.float().unsqueeze(1))),
    "classes second": ((5, 3), lambda out, y: functional.cross_entropy(out.transpose(1, 2), y)),
    "flattened": ((5, 3), lambda out, y: functional.cross_entropy(out.reshape(-1, 3), y.reshape(-1))),
}


class Shaped(nn.Module):
    """A linear layer whose output has a shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        self.linear = nn.Linear(4, int(torch.tensor(shape).prod()))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).reshape(-1, *self.shape)


@pytest.mark.parametrize("name", LOOPS)
def test_the_clean_pass_gives_the_loss_of_the_loop(name: str) -> None:
    """At a learning rate of 0 the clean loss equals the training loss, whatever stands between model and loss."""
    shape, loss = LOOPS[name]
    torch.manual_seed(0)
    model = Shaped(shape)
    x = torch.randn(64, 4)
    y = torch.randint(0, 2, (64, 5) if len(shape) > 1 else (64,))
    loader = DataLoader(TensorDataset(x, y), 16)
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    watch = advisor.watch(range(2), model, optimizer, train=loader, val=loader, report=False)
    for _ in watch:
        for xb, yb in loader:
            optimizer.zero_grad()
            loss(model(xb), yb).backward()
            optimizer.step()
    epochs = watch.record.epochs
    assert watch.record.problems == ()
    assert epochs["clean_train_loss"].to_numpy() == pytest.approx(epochs["train_loss"].to_numpy(), rel=1e-5)


def test_what_the_user_does_not_evaluate_is_evaluated_the_same_way() -> None:
    """Own validation on `val=` bridges the output and the target as well."""
    torch.manual_seed(0)
    model = Shaped((1,))
    x, y = torch.randn(32, 4), torch.randint(0, 2, (32,))
    train, val = DataLoader(TensorDataset(x, y), 16), DataLoader(TensorDataset(x, y), 32)
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    watch = advisor.watch(range(2), model, optimizer, train=train, val=val, report=False)
    for _ in watch:
        for xb, yb in train:
            optimizer.zero_grad()
            functional.mse_loss(model(xb).squeeze(1), yb.float()).backward()
            optimizer.step()
    expected = functional.mse_loss(model(x).squeeze(1), y.float()).item()
    assert watch.record.epochs["val_loss"].to_numpy() == pytest.approx([expected] * 2, rel=1e-5)


def test_a_view_is_known_without_its_values() -> None:
    """Where the loss got a view of the output, no value is read: the tensors may still be under way."""
    output = torch.randn(4, 5, 3)
    bridge = Bridge()
    bridge.learn(output, output.transpose(1, 2), None, None)
    assert bridge._open is None
    other = torch.randn(2, 5, 3)
    assert torch.equal(bridge.output(other), other.transpose(1, 2))


def test_what_is_not_among_the_ways_leaves_the_output_alone() -> None:
    """A loop that doubles the output is not understood, and nothing is guessed."""
    output = torch.randn(4, 3)
    bridge = Bridge()
    bridge.learn(output, output * 2, None, None)
    bridge.settle()
    assert bridge.output(output) is output


class Several(nn.Module):
    """Gives its features, auxiliary logits and logits."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.auxiliary, self.head = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.body(x)
        return features, self.auxiliary(features), self.head(features)


@dataclass
class Answer:
    """What some models return: an object with tensors in it."""

    features: Tensor
    score: Tensor


class Answering(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Answer:
        features = self.body(x)
        return Answer(features, self.head(features))


@pytest.mark.parametrize(
    ("kind", "part"),
    [(Several, lambda output: output[2]), (Answering, lambda output: output.score)],
    ids=["the third of a tuple", "an attribute of an object"],
)
def test_the_part_of_an_output_that_reaches_the_loss_is_found(
    kind: type[nn.Module], part: Callable[[Any], Tensor]
) -> None:
    """Another part has the same shape; the clean pass scores the one that the loss was given."""
    torch.manual_seed(0)
    model = kind()
    x, y = torch.randn(64, 4), torch.randint(0, 3, (64,))
    loader = DataLoader(TensorDataset(x, y), 16)
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    watch = advisor.watch(range(2), model, optimizer, train=loader, report=False)
    for _ in watch:
        for xb, yb in loader:
            functional.cross_entropy(part(model(xb)), yb).backward()
            optimizer.step()
    expected = (part(model(x)).argmax(1) == y).float().mean().item()
    assert watch.record.problems == ()
    assert watch.record.epochs["clean_train_accuracy"].to_numpy() == pytest.approx([expected] * 2)


def masked(output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    return ((output - target) ** 2 * mask).sum() / mask.sum()


def similar(output: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(output @ output.T, torch.arange(len(output)))


@pytest.mark.parametrize("kind", ["mask", "pairs"])
def test_a_loss_that_cannot_be_computed_for_other_batches_is_left_alone(kind: str) -> None:
    """A mask belongs to its batch; pairs are made of the whole batch. No clean loss, and no complaint either."""
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    loader = DataLoader(TensorDataset(torch.randn(40, 4), torch.randn(40, 3), torch.ones(40, 3)), 16)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loss = advisor.loss(masked)
    given = loss if kind == "mask" else None
    watch = advisor.watch(range(2), model, optimizer, given, train=loader, report=False)
    for _ in watch:
        for x, y, mask in loader:
            (loss(model(x), y, mask) if kind == "mask" else similar(model(x), y)).backward()
            optimizer.step()
    assert watch.record.problems == ()
    assert "clean_train_loss" not in watch.record.epochs


def test_a_loss_over_zeros_and_ones_has_no_score() -> None:
    """Dice may take logits or probabilities: R² of what it gets would say nothing."""
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    dice = advisor.loss(
        lambda output, target: 1 - (output.sigmoid() * target).sum() / (output.sigmoid() + target).sum()
    )
    watch = advisor.watch(range(2), model, optimizer, dice, report=False)
    for _ in watch:
        dice(model(torch.randn(8, 4)), (torch.randn(8, 3) > 0).float()).backward()
        optimizer.step()
    assert watch.record.info.task is None
    assert "train_r2" not in watch.record.epochs


class Stacked(nn.Module):
    """Three members' answers side by side: (3, N, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.members = nn.ModuleList(nn.Linear(4, 2) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([member(x) for member in self.members])


def test_targets_that_the_loop_repeats_are_not_compared_as_they_are() -> None:
    """Three targets a sample reach the loss, and one is in the batch: `val` is left alone, without complaint."""
    torch.manual_seed(0)
    model = Stacked()
    loader = DataLoader(TensorDataset(torch.randn(40, 4), torch.randint(0, 2, (40,))), 20)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    watch = advisor.watch(range(2), model, optimizer, train=loader, val=loader, report=False)
    for _ in watch:
        for x, y in loader:
            functional.cross_entropy(model(x).flatten(0, 1), y.repeat(3)).backward()
            optimizer.step()
    assert watch.record.problems == ()
    assert "val_loss" not in watch.record.epochs


class Flat(nn.Module):
    """A sequence model that flattens its own output: (N T, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x).flatten(0, 1)


def test_targets_are_flattened_where_the_model_flattens_its_output() -> None:
    """The output has a row for each position, and the batch's targets one for each sequence."""
    torch.manual_seed(0)
    model, x, y = Flat(), torch.randn(20, 5, 4), torch.randint(0, 2, (20, 5))
    loader = DataLoader(TensorDataset(x, y), 10)
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    watch = advisor.watch(range(2), model, optimizer, train=loader, val=loader, report=False)
    for _ in watch:
        for xb, yb in loader:
            functional.cross_entropy(model(xb), yb.reshape(-1)).backward()
            optimizer.step()
    expected = functional.cross_entropy(model(x), y.reshape(-1)).item()
    assert watch.record.problems == ()
    assert watch.record.epochs["val_loss"].to_numpy() == pytest.approx([expected] * 2)


@pytest.mark.parametrize("steps", [6, 4], ids=["as many steps as samples", "fewer"])
def test_lengths_belong_to_their_batch(steps: int) -> None:
    """CTC's output has its steps first; whole numbers, one a sample, are no weights of classes, however many."""
    torch.manual_seed(0)
    model = nn.Linear(4, 5)
    loader = DataLoader(TensorDataset(torch.randn(16, steps, 4), torch.randint(1, 5, (16, 2))), 6)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    watch = advisor.watch(range(2), model, optimizer, train=loader, report=False)
    for _ in watch:
        for x, y in loader:
            given = torch.full((len(x),), steps), torch.full((len(x),), 2)
            functional.ctc_loss(model(x).log_softmax(-1).transpose(0, 1), y, *given).backward()
            optimizer.step()
    assert watch.record.problems == ()
