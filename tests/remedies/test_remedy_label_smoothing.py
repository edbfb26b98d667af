"""label_smoothing: training losses are those of label_smoothing=; validation is as it was."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from loss_twins import run, same
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import label_smoothing
from advisor.remedies.label_smoothing import Parameters

ALWAYS = True  # a loop's loss need not be known beforehand
PLAN = Plan.of("label_smoothing")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def logarithms(output: Tensor, target: Tensor) -> Tensor:
    return F.nll_loss(output.log_softmax(1), target)


@pytest.mark.parametrize("loss_fn", [nn.CrossEntropyLoss(), F.cross_entropy, logarithms])
def test_training_is_smoothed_and_validation_is_not(loss_fn: object) -> None:
    """The losses of nn.CrossEntropyLoss(label_smoothing=0.1) in training, for a negative log-likelihood too."""
    data = table(80)
    right = run(network(), data, nn.CrossEntropyLoss(label_smoothing=0.1), val_loss=F.cross_entropy)
    assert same(run(network(), data, loss_fn, PLAN), right)  # type: ignore[arg-type]


def test_it_goes_along_with_class_weights() -> None:
    """A plan of both gives the losses of a cross entropy with both."""
    x, _ = table(80)
    y = (torch.arange(80) % 10).clamp(max=2)
    weights = 1 / y[:60].bincount().float()
    both = Plan.of("class_weights") + PLAN
    right = run(network(), (x, y), nn.CrossEntropyLoss(weights, label_smoothing=0.1), val_loss=F.cross_entropy)
    assert same(run(network(), (x, y), F.cross_entropy, both), right)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # asked for by the compiler itself
def test_a_compiled_training_step_is_smoothed_too() -> None:
    """A loss inside a compiled region is computed with the change, without a break of its graph."""
    data = table(80)
    torch.compiler.reset()

    @torch.compile(backend="eager", fullgraph=True)
    def compiled(output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(output, target)

    repaired = run(network(), data, compiled, PLAN, given=False)
    right = run(network(), data, nn.CrossEntropyLoss(label_smoothing=0.1), val_loss=F.cross_entropy)
    assert torch.allclose(repaired.train, right.train, rtol=1e-4)
    assert torch.allclose(repaired.val, right.val, rtol=1e-4)


def test_smoothed_labels_are_not_smoothed_again() -> None:
    """A loss that smooths already, and one without classes."""
    session = session_of(mlp(), table())
    session.loss_fn = nn.CrossEntropyLoss(label_smoothing=0.05)
    with pytest.raises(CannotApply, match=r"smoothed by 0\.05 already"):
        label_smoothing.apply(session, Parameters())
    session.loss_fn = nn.MSELoss()
    with pytest.raises(CannotApply, match="the loss is mse_loss"):
        label_smoothing.apply(session, Parameters())


@pytest.mark.parametrize(
    ("rule", "loss", "expected"),
    [
        ("overfitting", "cross_entropy", [0.1]),
        ("label_noise", "nll_loss", [0.1, 0.2]),
        ("underfitting", "cross_entropy", []),
        ("overfitting", "mse_loss", []),
    ],
)
def test_candidates(rule: str, loss: str, expected: list[float]) -> None:
    """The published share; twice that for wrong labels; none where the loss or the fit speaks against it."""
    found = label_smoothing.candidates(diagnosis_of(rule), Evidence(record_with(loss=loss)))
    assert expected == [choice.smoothing for choice in found]
