"""mean_reduction: training steps are those of a mean; validation stays the sum that the loop adds up."""

from __future__ import annotations

import pytest
import torch
from loss_twins import at_end, run, same
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.loss_inputs import LossInputs
from advisor.plan import Plan
from advisor.remedies import Session, mean_reduction
from advisor.remedies.mean_reduction import Parameters

ALWAYS = True  # a loop's loss need not be known beforehand
PLAN = Plan.of("mean_reduction")


def summed() -> Session:
    session = session_of(mlp(), table())
    session.loss_fn = nn.CrossEntropyLoss(reduction="sum")
    return session


FITTING = (summed,)


def numbers() -> tuple[Tensor, Tensor]:
    x, _ = table(80)
    return x, x[:, :2] * 2


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))


def test_training_divides_and_validation_does_not() -> None:
    """Losses and weights are those of reduction="mean" in training; the record compares means of both."""
    repaired = run(network(), numbers(), nn.MSELoss(reduction="sum"), PLAN)
    right = run(network(), numbers(), nn.MSELoss(), val_loss=nn.MSELoss(reduction="sum"))
    assert same(repaired, right)
    mean = run(network(), numbers(), nn.MSELoss())
    for name in ("train_loss", "val_loss", "clean_train_loss"):
        assert at_end(repaired, name) == pytest.approx(at_end(mean, name), rel=1e-3)


def test_a_mean_is_left_alone() -> None:
    """There is nothing to divide."""
    with pytest.raises(CannotApply, match="mean_reduction: the loss has reduction='mean'"):
        mean_reduction.apply(
            session_of(
                mlp(),
                table(),
            ),
            Parameters(),
        ) if False else mean_reduction.apply(Session(mlp(), [], [], nn.MSELoss()), Parameters())


@pytest.mark.parametrize(
    ("reduction", "root", "more", "expected"),
    [
        ("sum", {"summed": 64}, {}, [Parameters()]),
        ("sum", {"summed": None}, {}, []),  # the loop divides it
        ("none", {"summed": 64}, {}, []),  # the loop adds it up by hand
        ("sum", {"summed": 64}, {"loss_weights": [{"name": "kl_div"}, {"name": "mse_loss"}]}, []),
    ],
)
def test_candidates_need_a_sum_of_torchs(
    reduction: str, root: dict[str, object], more: dict[str, object], expected: list[Parameters]
) -> None:
    """One, where backward begins at the only loss of the step, which torch has added up."""
    inputs = [LossInputs(name="mse_loss", reduction=reduction).model_dump(mode="json")]
    evidence = Evidence(record_with(backward_root=root, loss_inputs=inputs, **more))  # type: ignore[arg-type]
    assert expected == mean_reduction.candidates(diagnosis_of("sum_reduced_loss"), evidence)
