"""What a loop does between its model and its loss is found, so that our own passes compute the same loss."""

from __future__ import annotations

from collections.abc import Callable

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


def test_the_part_that_reaches_the_loss_is_found_among_several() -> None:
    """The third tensor of a tuple, of the same shape as the second: the clean pass scores that one."""
    torch.manual_seed(0)
    model = Several()
    x, y = torch.randn(64, 4), torch.randint(0, 3, (64,))
    loader = DataLoader(TensorDataset(x, y), 16)
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    watch = advisor.watch(range(2), model, optimizer, train=loader, report=False)
    for _ in watch:
        for xb, yb in loader:
            functional.cross_entropy(model(xb)[2], yb).backward()
            optimizer.step()
    expected = (model(x)[2].argmax(1) == y).float().mean().item()
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
