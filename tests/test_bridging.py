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
