"""robust_loss: training losses are Huber's; validation keeps the square."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from loss_twins import run, same
from sessions import diagnosis_of, record_with, session_of, table
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, robust_loss
from advisor.remedies.robust_loss import Parameters, spread

ALWAYS = True  # a loop's loss need not be known beforehand


def numbers() -> tuple[Tensor, Tensor]:
    """Every 20th target is a code for a failed reading."""
    x, _ = table(80)
    y = x[:, :1] - x[:, 1:2]
    y[::20] = -99.0
    return x, y


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))


def regression() -> Session:
    session = session_of(network(), numbers())
    session.loss_fn = nn.MSELoss()
    return session


FITTING = (regression,)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_training_is_hubers_and_validation_is_squared(reduction: str) -> None:
    """The losses are those of nn.HuberLoss with that bound in training, and of the square in validation."""
    plan = Plan.of("robust_loss", delta=0.7)
    squared = nn.MSELoss(reduction=reduction)
    repaired = run(network(), numbers(), squared, plan, lr=0.01)
    assert same(repaired, run(network(), numbers(), nn.HuberLoss(reduction, delta=0.7), val_loss=squared, lr=0.01))


def test_bound_comes_from_the_first_batch() -> None:
    """Without one it is 1.345 robust standard deviations of the targets that reach the loss first."""
    record = run(network(), numbers(), F.mse_loss, Plan.of("robust_loss")).record
    note = record.facts["remedy.robust_loss"]
    assert isinstance(note, dict)
    assert 0.1 < float(str(note["delta"])) < 5  # the codes at -99 have no say in it


def test_spread_of_known_targets() -> None:
    """MAD 1 gives 1.345 · 1.4826; where more than half are equal the standard deviation serves, which may be 0."""
    assert spread(torch.tensor([-1.0, 0.0, 1.0, 2.0, -99.0])) == pytest.approx(1.345 * 1.4826)
    assert spread(torch.tensor([0.0, 0.0, 0.0, 2.0])) == pytest.approx(1.345 * 0.75**0.5)
    assert spread(torch.zeros(4)) == 0


def test_a_loss_that_is_no_square_is_left_alone() -> None:
    """An absolute error is robust already."""
    session = regression()
    session.loss_fn = nn.L1Loss()
    with pytest.raises(CannotApply, match="robust_loss: the loss is l1_loss"):
        robust_loss.apply(session, Parameters())


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"loss": "mse_loss", "targets": {"mad": 1.0}}, [1.99, 0.598]),
        ({"loss": "mse_loss", "targets": {"mad": 0.0}}, []),
        ({"loss": "l1_loss", "targets": {"mad": 1.0}}, []),
    ],
)
def test_candidates_follow_the_targets(facts: dict[str, object], expected: list[float]) -> None:
    """1.345 · 1.4826 times the MAD, and three tenths of it, for squared errors."""
    record = record_with(**facts)  # type: ignore[arg-type]
    record = type(record)(record.info.model_copy(update={"task": "regression"}), {}, record.facts)
    found = robust_loss.candidates(diagnosis_of("outlier_targets"), Evidence(record))
    assert expected == [choice.delta for choice in found]
