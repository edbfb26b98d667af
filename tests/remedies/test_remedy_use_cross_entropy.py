"""use_cross_entropy: a distance of labels is computed as the script that had a cross entropy from the start."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from loss_twins import at_end, run, same
from sessions import diagnosis_of, record_with, session_of, table
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.loss_changes import LossArguments
from advisor.loss_inputs import LossInputs
from advisor.plan import Plan
from advisor.remedies import Session, use_cross_entropy
from advisor.remedies.use_cross_entropy import Exchange, Parameters

ALWAYS = True  # what it cannot exchange it says in the record
PLAN = Plan.of("use_cross_entropy")
OWN = Plan.of("use_cross_entropy", own=True)


class Squares(nn.Module):
    """A distance written out by hand, as a loss of the user's own."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return ((output - F.one_hot(target, 3)) ** 2).mean()


class Inside(nn.Module):
    """A loss of the user's own that calls one of torch's."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(output.softmax(1), F.one_hot(target, 3).float())


def rows(output: Tensor, target: Tensor) -> Tensor:
    return F.mse_loss(output, F.one_hot(target, 3).float())


def binary() -> tuple[Tensor, Tensor]:
    x, _ = table(80)
    return x, (x[:, :2].sum(1, keepdim=True) > 0).float()


def network(outputs: int, last: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, outputs), *([last] if last else []))


def one_hot_rows() -> Session:
    x, y = table()
    session = session_of(network(3, nn.Softmax(1)), (x, F.one_hot(y, 3).float()))
    session.loss_fn = nn.MSELoss()
    return session


FITTING = (one_hot_rows,)


@pytest.mark.parametrize(
    "last",
    [nn.Softmax(1), None, nn.Sequential(nn.Softmax(1), nn.Flatten()), nn.Sigmoid()],
    ids=["softmax", "scores", "view of a softmax", "sigmoids"],
)
def test_rows_of_labels_become_a_cross_entropy(last: nn.Module | None) -> None:
    """A squared error of one-hot rows gives the losses of a model without the last function and cross_entropy."""
    data = table(80)
    repaired = run(network(3, last), data, rows, PLAN)
    right = run(network(3), data, F.cross_entropy)
    assert same(repaired, right)
    assert repaired.record.info.task == "multiclass"
    for name in ("clean_train_loss", "val_accuracy"):
        assert at_end(right, name) == pytest.approx(at_end(repaired, name), rel=1e-3)


@pytest.mark.parametrize("last", [nn.Sigmoid(), None], ids=["sigmoid", "score"])
def test_zeros_and_ones_become_a_binary_cross_entropy(last: nn.Module | None) -> None:
    """A squared error of 0 and 1 gives the losses of binary_cross_entropy_with_logits on the score."""
    repaired = run(network(1, last), binary(), nn.MSELoss(), PLAN)
    right = run(network(1), binary(), nn.BCEWithLogitsLoss())
    assert same(repaired, right)
    assert repaired.record.info.task == "binary"
    for name in ("clean_train_loss", "val_accuracy"):
        assert at_end(right, name) == pytest.approx(at_end(repaired, name), rel=1e-3)


def test_validation_by_watch_itself_is_exchanged_too() -> None:
    """Rows of labels come from the loader, the loop does not validate: the accuracy is that of the outputs."""
    x, y = table(80)
    loader, val = (DataLoader(TensorDataset(x, F.one_hot(y, 3).float()), batch_size=size) for size in (10, 40))
    model = network(3, nn.Softmax(1))
    optimizer, loss_fn = torch.optim.SGD(model.parameters(), lr=0.1), nn.MSELoss()
    watch = advisor.watch(range(2), model, optimizer, loss_fn, train=loader, val=val, plan=PLAN, report=False)
    for _ in watch:
        for xb, yb in loader:
            optimizer.zero_grad()
            loss_fn(model(xb), yb).backward()
            optimizer.step()
    assert watch.record.problems == ()
    output = model(x).detach()
    found = {name: float(watch.record.series[name].values[-1, 0]) for name in ("val_accuracy", "val_loss")}
    right = float((output.argmax(1) == y).float().mean()), float(F.nll_loss(output.log(), y))
    assert right == pytest.approx((found["val_accuracy"], found["val_loss"]), rel=1e-4)


@pytest.mark.parametrize("wrapped", [Squares(), advisor.loss(lambda o, t: ((o - F.one_hot(t, 3)) ** 2).mean())])
def test_a_loss_of_the_users_own_is_exchanged_as_a_whole(wrapped: nn.Module) -> None:
    """A module that writes out a squared distance from class indices, behind a softmax."""
    data = table(80)
    repaired = run(network(3, nn.Softmax(1)), data, wrapped, OWN)
    assert same(repaired, run(network(3), data, F.cross_entropy))
    assert not wrapped._forward_hooks


def test_a_loss_of_the_users_own_is_left_alone_without_being_named() -> None:
    """Only evidence tells that a module of the user's own measures a distance."""
    data = table(80)
    left = run(network(3, nn.Softmax(1)), data, Squares(), PLAN)
    assert same(left, run(network(3, nn.Softmax(1)), data, Squares()))
    assert not use_cross_entropy.took_effect(left.record, Parameters())


def test_torchs_function_inside_a_loss_of_the_users_own() -> None:
    """The softmax lies within the loss, and torch's squared error behind it is what is exchanged."""
    data = table(80)
    assert same(run(network(3), data, Inside(), PLAN), run(network(3), data, F.cross_entropy))


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_reduction_stays(reduction: str) -> None:
    """A sum of squares becomes a sum of likelihoods; without a reduction each sample has its own."""
    scores, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    call = LossArguments("mse_loss", {"input": scores, "target": F.one_hot(labels, 3).float(), "reduction": reduction})
    changed = Exchange(own=False)(call)
    value = getattr(F, changed.name)(**changed.given)
    assert torch.allclose(value, F.cross_entropy(scores, labels, reduction=reduction))


def test_classes_of_every_token() -> None:
    """A softmax over the last of three dimensions: its classes are moved to where cross_entropy wants them."""
    scores = torch.randn(4, 7, 5, requires_grad=True)
    labels = torch.arange(28).reshape(4, 7) % 5
    call = LossArguments("mse_loss", {"input": scores.softmax(-1), "target": F.one_hot(labels, 5).float()})
    changed = Exchange(own=False)(call)
    assert torch.allclose(
        getattr(F, changed.name)(**changed.given), F.cross_entropy(scores.reshape(-1, 5), labels.reshape(-1))
    )


def test_a_sure_and_wrong_output_has_a_finite_loss_and_a_gradient() -> None:
    """A probability that has become 0 counts as the smallest normal number, and the others still have a gradient."""
    scores = torch.tensor([[0.0, 200.0], [1.0, 0.0]], requires_grad=True)
    call = LossArguments("mse_loss", {"input": scores.softmax(1), "target": torch.eye(2)})
    changed = Exchange(own=False)(call)
    value = getattr(F, changed.name)(**changed.given)
    value.backward()
    assert torch.isfinite(value)
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
    assert scores.grad[1].abs().sum() > 0


@pytest.mark.parametrize(
    ("output", "target"),
    [
        (torch.randn(8, 3, requires_grad=True), torch.randn(8, 3)),
        (torch.randn(8, 3, requires_grad=True), torch.eye(8)[:, :3]),  # rows without a one
        (torch.randn(8, 1, requires_grad=True), torch.arange(8.0)[:, None]),
        (torch.randn(8, 1, requires_grad=True), torch.ones(8, 1)),  # as a critic of generated samples has them
    ],
    ids=["numbers", "no one-hot rows", "counts", "one class"],
)
def test_a_regression_is_left_alone(output: Tensor, target: Tensor) -> None:
    """What is no label keeps its squared error, in the first batch and in the hundredth."""
    exchange = Exchange(own=False)
    call = LossArguments("mse_loss", {"input": output, "target": target})
    assert all(exchange(call) is call for _ in range(100))


def test_a_measure_of_validation_is_left_alone() -> None:
    """An absolute error that is not trained by stays what it is, once training has shown what is."""
    exchange = Exchange(own=False)
    given = {"input": torch.randn(6, 3, requires_grad=True), "target": torch.eye(3).repeat(2, 1)}
    squares, absolute = LossArguments("mse_loss", given), LossArguments("l1_loss", given)
    assert exchange(squares).name == "cross_entropy"
    with torch.no_grad():
        assert exchange(squares).name == "cross_entropy"
        assert exchange(absolute) is absolute


def test_a_likelihood_is_left_alone() -> None:
    """A loss that is known to be no distance is nothing to exchange."""
    session = session_of(network(3), table())
    session.loss_fn = nn.CrossEntropyLoss()
    with pytest.raises(CannotApply, match="use_cross_entropy: the loss is cross_entropy"):
        use_cross_entropy.apply(session, Parameters())


def told(**more: object) -> Evidence:
    return Evidence(record_with(loss_inputs=[LossInputs(**more).model_dump(mode="json")]))  # type: ignore[arg-type]


def squared(**more: object) -> dict[str, object]:
    shape = (8, 3)
    return {
        "name": "mse_loss", "measures": "mse_loss", "output_shape": shape, "target_shape": shape,
        "target_dtype": "float32", "target": (0.0, 1.0), "target_integer": True, "target_sums_off": (9.0, 0.0),
        "target_varies": True, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, [Parameters()]),
        ({"own": True, "name": "Squares"}, [Parameters(own=True)]),
        ({"name": ""}, []),  # written out in the loop: nothing can be exchanged
        ({"target_sums_off": (9.0, 0.5)}, []),
        ({"measures": "cross_entropy"}, []),
    ],
    ids=["one-hot", "own", "written out", "numbers", "a likelihood"],
)
def test_candidates_follow_the_evidence(more: dict[str, object], expected: list[Parameters]) -> None:
    """One, where a distance of labels can be reached; `own` as the evidence has it."""
    assert expected == use_cross_entropy.candidates(diagnosis_of("wrong_loss_for_task"), told(**squared(**more)))
