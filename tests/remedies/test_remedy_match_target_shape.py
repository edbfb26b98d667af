"""match_target_shape: the run becomes the one of the script whose shapes agree."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from sessions import diagnosis_of, record_with, session_of, table
from torch import Tensor, nn
from twins import assert_same, run

import advisor
from advisor.evidence import Evidence
from advisor.loss_inputs import LossInputs
from advisor.plan import Plan
from advisor.remedies import Session, match_target_shape
from advisor.remedies.match_target_shape import Parameters, enlarges

PLAN = Plan.of("match_target_shape")
X = table()[0]
DATA = X, X.sum(1) / 2
pytestmark = pytest.mark.filterwarnings("ignore:Using a target size")  # torch says it, and nobody listens


def small(*last: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1), *last)


class Mean(nn.Module):
    """A loss of the user's own."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return (output - target).square().mean()


def broadcast() -> Session:
    session = session_of(small(), DATA)
    session.loss_fn = F.smooth_l1_loss
    return session


def of_its_own() -> Session:
    session = session_of(small(), DATA)
    session.loss_fn = Mean()
    return session


FITTING = (of_its_own,)
own = Mean()
watched = advisor.loss(lambda output, target: (target - output).abs().mean())


@pytest.mark.parametrize(
    ("loss", "loss_fn"),
    [
        (lambda m, x, y: F.mse_loss(m(x), y), None),
        (lambda m, x, y: F.l1_loss(m(x), y), None),
        (lambda m, x, y: ((m(x) - y) ** 2).mean(), None),
        (lambda m, x, y: (y - m(x)).abs().mean(), None),
        (lambda m, x, y: torch.sub(m(x), y).abs().mean(), None),
        (lambda m, x, y: own(m(x), y), own),
        (lambda m, x, y: own(m(x), y), None),
        (lambda m, x, y: watched(m(x), y), watched),
    ],
    ids=["mse", "l1", "written out", "the other way", "torch.sub", "a module", "a module not given", "advisor.loss"],
)
def test_losses_are_those_of_matching_shapes(
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor], loss_fn: nn.Module | None
) -> None:
    """(N, 1) against (N,) trains as (N,) against (N,) does, and validates so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the watched loop computes the loss outside of pytest's filter too
        repaired, _, record = run(small, loss, DATA, PLAN, loss_fn=loss_fn)
    assert_same(repaired, run(lambda: small(nn.Flatten(0)), loss, DATA, loss_fn=loss_fn)[0])
    assert record.facts["remedy.match_target_shape"] == {"reached": True}
    assert record.problems == ()


def test_all_pairs_on_purpose_are_left_alone() -> None:
    """A ranking loss that writes prediction[:, None] keeps its pairs."""

    def ranking(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return (model(x)[:, None] - y).abs().mean()

    repaired, _, record = run(lambda: small(nn.Flatten(0)), ranking, DATA, PLAN)
    assert repaired == run(lambda: small(nn.Flatten(0)), ranking, DATA)[0]
    assert not match_target_shape.took_effect(record, Parameters())


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((8, 1), (8,), True),
        ((8,), (8, 1), True),
        ((8, 1), (1, 8), False),  # as many axes
        ((8, 1), (8, 1), False),
        ((8, 3), (8,), False),  # other numbers of entries
        ((1, 8), (8,), False),  # broadcast to itself
        ((1, 1), (1,), False),  # a single entry
        ((4, 4, 1), (4, 4), True),
        ((4, 2, 1), (4, 2), False),  # an error of the loop itself
        ((4, 2), (8,), False),
    ],
)
def test_what_is_enlarged(one: tuple[int, ...], other: tuple[int, ...], expected: bool) -> None:
    """Only shapes that are the same but for axes of one entry, and that broadcasting makes larger."""
    assert expected == enlarges(torch.zeros(one), torch.zeros(other))


def test_candidates() -> None:
    """One choice where the rule fired or the record shows two such shapes."""
    one = LossInputs(name="mse_loss", output_shape=(8, 1), target_shape=(8,), enlarged=(8, 8))
    shown = Evidence(record_with(loss_inputs=[one.model_dump(mode="json")]))
    assert [Parameters()] == match_target_shape.candidates(diagnosis_of(), shown)
    assert [] == match_target_shape.candidates(diagnosis_of(), Evidence(record_with()))
    fired = diagnosis_of("prediction_target_broadcast")
    assert [Parameters()] == match_target_shape.candidates(fired, Evidence(record_with()))
