"""loss_balance: one term of a sum is scaled in training; the other, and validation, are as they were."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from loss_twins import at_end, run, same
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.record import Record, Series
from advisor.remedies import loss_balance
from advisor.remedies.loss_balance import Parameters

ALWAYS = True  # a loop's losses need not be known beforehand
PARAMETERS = {"term": "cross_entropy", "factor": 0.5}


class Two(nn.Module):
    """(N, 4): three scores of a class and a number."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.layers(x)
        return output


def both(output: Tensor, target: Tensor, weight: float = 1.0) -> Tensor:
    squares = F.mse_loss(output[:, 3], target * 100.0)
    return F.cross_entropy(output[:, :3], target) + weight * squares


def test_the_term_is_scaled_in_training_alone() -> None:
    """Losses and weights are those of a loop that multiplies the squares itself; its validation is unweighted."""
    plan = Plan.of("loss_balance", term="mse_loss", factor=0.001)
    repaired = run(Two(), table(80), both, plan, given=False)
    right = run(Two(), table(80), lambda o, t: both(o, t, 0.001), val_loss=both, given=False)
    assert same(repaired, right)
    assert at_end(right, "train_loss") == pytest.approx(at_end(repaired, "train_loss"), rel=1e-3)


def terms(*told: tuple[str, float, float | None, float]) -> Evidence:
    """name, weight, loss of the best constant answer, typical value"""
    at = np.arange(4, dtype=np.int64)
    values = np.tile(np.array([size for *_, size in told], np.float32), (4, 1))
    series = Series("loss_terms", "step", tuple(name for name, *_ in told), at, at * 0, values)
    facts = [{"name": name, "weight": weight, "guess": guess} for name, weight, guess, _ in told]
    record = record_with(loss_weights=facts)  # type: ignore[arg-type]
    return Evidence(Record(record.info, {"loss_terms": series}, record.facts))


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (terms(("cross_entropy", 1.0, 2.3, 2.0), ("mse_loss", 0.5, 2000.0, 7.0)), [("mse_loss", 0.0023)]),
        (terms(("cross_entropy", 1.0, 2.0, 2.0), ("l1_loss", 1.0, None, 400.0)), [("l1_loss", 0.005)]),
        (terms(("cross_entropy", 1.0, 2.3, 2.0), ("mse_loss", 1.0, 10.0, 7.0)), []),  # of like size
        (terms(("cross_entropy", 1.0, 2.3, 2.0), ("rest", 1.0, None, 900.0)), []),  # no function to scale
        (terms(("mse_loss", 1.0, 2.0, 2.0), ("mse_loss 2", 1.0, 900.0, 900.0)), []),  # which of the two?
    ],
)
def test_candidates_bring_the_largest_term_to_the_next(evidence: Evidence, expected: list[tuple[str, float]]) -> None:
    """By what the best constant answer would lose, weights counted; by the typical value where that is not known."""
    found = loss_balance.candidates(diagnosis_of("dominant_loss_term"), evidence)
    assert expected == [(choice.term, choice.factor) for choice in found]


def test_a_term_must_be_named() -> None:
    """Without a loss function of torch's there is nothing to scale."""
    for term in ("", "rest"):
        with pytest.raises(CannotApply, match="no loss function is named"):
            loss_balance.apply(session_of(mlp(), table()), Parameters(term=term))
