"""What reaches a loss function -> `loss_inputs`: exact numbers of models whose outputs are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.instruments._graph import bounds, distance, enlarging_difference, last_operations
from advisor.loss_inputs import LossInputs

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Looked up when it is called, as a loop does."""
    return functional.cross_entropy(output, target)


def mse_loss(output: Tensor, target: Tensor) -> Tensor:
    return functional.mse_loss(output, target)


class Given(nn.Module):
    """Gives its input back, behind what is asked for, so that what reaches the loss is known."""

    def __init__(self, last: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(1))
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x * self.one)


def watched(model: nn.Module, x: Tensor, y: Tensor, loss: Loss, *, given: object = None) -> Any:
    """The facts of a run whose weights stay as they are."""
    loader = DataLoader(TensorDataset(x, y), len(x))
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    watch = advisor.watch(range(1), model, optimizer, given, train=loader, report=False)
    for _ in watch:
        for xb, yb in loader:
            loss(model(xb), yb).backward()
            optimizer.step()
    assert watch.record.problems == ()
    return watch.record.facts


def seen(model: nn.Module, x: Tensor, y: Tensor, loss: Loss, *, given: object = None) -> list[LossInputs]:
    return [LossInputs.model_validate(one) for one in watched(model, x, y, loss, given=given).get("loss_inputs", [])]


X = torch.tensor([[0.0, 2.0, -1.0], [0.0, 0.0, 1.0]])
LABELS = torch.tensor([1, 2])


def test_shapes_ranges_and_counts_are_those_of_the_batch() -> None:
    """Three of six logits are 0; the labels 1 and 2 vary and are whole."""
    (one,) = seen(Given(), X, LABELS, cross_entropy)
    assert (one.name, one.output_shape, one.target_shape, one.target_dtype) == ("cross_entropy", (2, 3), (2,), "int64")
    assert (one.output, one.target, one.zeros) == ((-1.0, 2.0), (1.0, 2.0), 0.5)
    assert (one.target_integer, one.target_varies, one.distinct, one.most_common) == (True, True, 2, 1.0)
    assert one.sums_off == (1.0, 0.0)  # columns sum to 0, 2 and 0; rows to 1


@pytest.mark.parametrize(
    ("last", "name", "dimension", "exact"),
    [
        (lambda x: x.softmax(1), "softmax", 1, 1),
        (lambda x: x.softmax(-2), "softmax", 0, 0),
        (lambda x: x.log_softmax(dim=1), "log_softmax", 1, 1),
    ],
)
def test_the_softmax_and_its_dimension_are_read(last: Any, name: str, dimension: int, exact: int) -> None:
    """Negative dimensions are counted from the end, and the sums along it are one."""
    (one,) = seen(Given(last), X, LABELS, cross_entropy)
    assert (one.last[0], one.softmax) == (name, (dimension, (2, 3)))
    sums = one.exp_sums_off if name == "log_softmax" else one.sums_off
    assert sums[exact] == pytest.approx(0.0, abs=1e-6)
    assert sums[1 - exact] is not None
    assert sums[1 - exact] > 0.1


def test_a_softmax_within_a_loss_of_the_users_own_is_read() -> None:
    """Of the whole output, also where it is written out; what the model does before its output is not the loss's."""

    def own(output: Tensor, target: Tensor) -> Tensor:
        return -(output.log_softmax(0) * functional.one_hot(target, 3)).sum(1).mean()

    loss = advisor.loss(own)
    (one,) = seen(Given(lambda x: x.softmax(1) * 2), X, LABELS, loss, given=loss)
    assert (one.own, one.softmax) == (True, (0, (2, 3)))


def test_a_module_of_the_users_own_is_looked_into() -> None:
    """What torch's function got counts: log-probabilities, though the module got logits; and it is counted once."""

    class Own(nn.Module):
        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            return functional.nll_loss(output.log_softmax(1), target)

    loss = Own()
    (one,) = seen(Given(), X, LABELS, loss, given=loss)
    assert (one.name, one.own, one.last[0]) == ("nll_loss", False, "log_softmax")


def test_torchs_own_module_is_counted_once() -> None:
    """`nn.CrossEntropyLoss` goes through `F.cross_entropy`; the two are one."""
    loss = nn.CrossEntropyLoss()
    assert [one.name for one in seen(Given(), X, LABELS, loss, given=loss)] == ["cross_entropy"]


def test_two_losses_of_a_step_are_told_apart() -> None:
    """By their order."""

    def both(output: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(output, target) + functional.mse_loss(output[:, 0], target.float())

    assert [one.name for one in seen(Given(), X, LABELS, both)] == ["cross_entropy", "mse_loss"]


def test_a_symmetric_loss_may_have_its_sides_swapped() -> None:
    """`F.mse_loss(target, prediction)`: the prediction is what has a gradient."""
    (one,) = seen(Given(), X, X + 10, lambda output, target: functional.mse_loss(target, output))
    assert (one.output, one.target) == ((-1.0, 2.0), (9.0, 12.0))


COLUMN, ROW = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([1.0, 2.0, 4.0])


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(
    "loss",
    [
        mse_loss,
        lambda output, target: ((output - target) ** 2).mean(),
        lambda output, target: (target - output).abs().sum() / 3,
    ],
)
def test_a_column_against_a_row_is_seen_also_where_the_loss_is_written_out(loss: Loss) -> None:
    """(3, 1) and (3,) become (3, 3)."""
    (one,) = seen(Given(), COLUMN, ROW, loss)
    assert (one.output_shape, one.target_shape, one.enlarged) == ((3, 1), (3,), (3, 3))


@pytest.mark.parametrize(
    "loss",
    [
        lambda output, target: functional.mse_loss(output.squeeze(1), target),
        lambda output, target: ((output.squeeze(1) - target) ** 2).mean(),
        lambda output, target: (output[:, 0][:, None] - target[None, :]).abs().mean(),
    ],
    ids=["by torch", "by hand", "all pairs on purpose"],
)
def test_shapes_that_are_meant_are_not_called_enlarged(loss: Loss) -> None:
    """Equal shapes, and pairs that were asked for."""
    assert [one.enlarged for one in seen(Given(), COLUMN, ROW, loss) if one.enlarged] == []


def test_a_squared_error_of_labels_that_is_written_out_is_known_by_its_graph() -> None:
    """A mean of squares of a softmax minus one-hot rows measures what `mse_loss` does."""

    def by_hand(output: Tensor, target: Tensor) -> Tensor:
        return ((output - functional.one_hot(target, 3).float()) ** 2).mean()

    (one,) = seen(Given(lambda x: x.softmax(1)), X, LABELS, by_hand)
    assert (one.measures, one.last[0], one.output_shape) == ("mse_loss", "softmax", (2, 3))
    assert (one.target_shape, one.target_dtype) == ((2,), "int64")


def test_targets_out_of_reach_are_counted() -> None:
    """Behind a ReLU two of three targets lie below what it gives."""
    (one,) = seen(Given(torch.relu), ROW, torch.tensor([-1.0, -2.0, 3.0]), mse_loss)
    assert (one.bounds, one.target_outside) == ((0.0, None), pytest.approx(2 / 3))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (torch.relu, (0.0, float("inf"))),
        (torch.sigmoid, (0.0, 1.0)),
        (lambda x: 5 * torch.tanh(x), (-5.0, 5.0)),
        (lambda x: torch.tanh(x) / 2, (-0.5, 0.5)),
        (lambda x: -torch.relu(x), (float("-inf"), 0.0)),
        (lambda x: x.clamp(0, 1), (0.0, 1.0)),
        (lambda x: x.clamp(min=-3), (-3.0, float("inf"))),
        (functional.relu6, (0.0, 6.0)),
        (lambda x: torch.sigmoid(x).view(-1, 1).squeeze(1), (0.0, 1.0)),
        (lambda x: torch.sigmoid(x) + 1, (float("-inf"), float("inf"))),
        (lambda x: functional.leaky_relu(x), (float("-inf"), float("inf"))),
    ],
)
def test_the_range_of_the_last_operation(function: Any, expected: tuple[float, float]) -> None:
    """Known where it is a plain activation, perhaps rearranged or times a number; else unbounded, not guessed."""
    x = torch.tensor([1.0, -1.0], requires_grad=True)
    assert bounds(function(x).grad_fn) == expected
    values = function(100 * x.detach()).tolist()
    assert expected[0] <= min(values)
    assert max(values) <= expected[1]


def test_a_graph_without_the_pattern_gives_nothing() -> None:
    """A difference of two predictions is no distance from a target."""
    x = torch.ones(3, 1, requires_grad=True)
    assert distance(((2 * x - 3 * x) ** 2).mean().grad_fn) is None
    assert enlarging_difference((x - x.T).sum().grad_fn) is None
    assert [operation.name for operation in last_operations(torch.tanh(2 * x).flatten().grad_fn)] == ["tanh", "mul"]


def test_no_number_of_the_output_is_lost_by_a_nan() -> None:
    """A batch with NaN leaves the ranges unknown, not the fact."""
    (one,) = seen(Given(), torch.full((2, 3), float("nan")), LABELS, cross_entropy)
    assert (one.output, one.target) == ((None, None), (1.0, 2.0))
