"""add_log_softmax: the run becomes the one of the script that gives the loss what it expects."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor, nn
from twins import assert_same, run

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.loss_inputs import LossInputs
from advisor.plan import Plan
from advisor.remedies import Session, add_log_softmax
from advisor.remedies.add_log_softmax import Parameters

LABELS = table()
BINARY = LABELS[0], (LABELS[1] == 0).float()
SHARES = LABELS[0], torch.softmax(LABELS[0][:, :3], 1)


def scores() -> Session:
    session = session_of(mlp(), table())
    session.loss_fn = F.nll_loss
    return session


FITTING = (scores,)


def small(*last: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3), *last)


def test_raw_scores_before_nll_loss() -> None:
    """nll_loss of scores becomes cross_entropy, in training and in validation."""
    repaired, _, record = run(small, lambda m, x, y: F.nll_loss(m(x), y), LABELS, Plan.of("add_log_softmax"))
    assert_same(repaired, run(small, lambda m, x, y: F.cross_entropy(m(x), y), LABELS)[0])
    assert record.facts["remedy.add_log_softmax"] == {"at": "loss", "reached": True}


def test_in_a_loss_of_the_users_own() -> None:
    """torch's loss function inside a module of the user's own is reached too."""

    class Own(nn.Module):
        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            return 2 * F.nll_loss(output, target)

    own = Own()
    repaired, _, _ = run(small, lambda m, x, y: own(m(x), y), LABELS, Plan.of("add_log_softmax"), loss_fn=own)
    assert_same(repaired, run(small, lambda m, x, y: 2 * F.cross_entropy(m(x), y), LABELS)[0])


def test_plain_probabilities_before_nll_loss() -> None:
    """Probabilities get their logarithm: the softmax is not applied twice."""
    plan = Plan.of("add_log_softmax", given="probabilities")
    repaired, _, _ = run(lambda: small(nn.Softmax(1)), lambda m, x, y: F.nll_loss(m(x), y), LABELS, plan)
    assert_same(repaired, run(small, lambda m, x, y: F.cross_entropy(m(x), y), LABELS)[0])


def test_raw_scores_before_kl_div() -> None:
    """kl_div gets log-probabilities over the dimension over which the targets sum to one."""

    def divergence(change: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
        return lambda m, x, y: F.kl_div(change(m(x)), y, reduction="batchmean")

    plan = Plan.of("add_log_softmax", loss="kl_div", dim=1)
    repaired, _, _ = run(small, divergence(lambda s: s), SHARES, plan)
    assert repaired == run(small, divergence(lambda s: F.log_softmax(s, 1)), SHARES)[0]


class Cut(nn.Module):
    """Ends in what stands in the place of a sigmoid."""

    def __init__(self, cut: str) -> None:
        super().__init__()
        self.one, self.two, self.cut = nn.Linear(6, 8), nn.Linear(8, 1), cut

    def forward(self, x: Tensor) -> Tensor:
        score = self.two(torch.relu(self.one(x))).squeeze(1)
        ways: dict[str, Callable[[Tensor], Tensor]] = {
            "sigmoid": torch.sigmoid,
            "clamp": lambda s: s.clamp(0, 1),
            "relu and clamp": lambda s: torch.clamp(F.relu(s), max=1),
            "layer": nn.Hardtanh(0, 1),
            "none": lambda s: s,
        }
        return ways[self.cut](score)


@pytest.mark.parametrize("cut", ["clamp", "relu and clamp", "layer", "in the loop"])
def test_a_clamp_before_binary_cross_entropy_gets_a_sigmoid(cut: str) -> None:
    """A clamp to [0, 1], in the model or in the loop, cuts what a sigmoid gave: the losses are those of a sigmoid."""

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        given = model(x).clamp(min=0.0, max=1.0) if cut == "in the loop" else model(x)
        return F.binary_cross_entropy(given, y)

    plan = Plan.of("add_log_softmax", loss="binary_cross_entropy")
    repaired, _, record = run(lambda: Cut("none" if cut == "in the loop" else cut), loss, BINARY, plan)
    right, _, _ = run(lambda: Cut("sigmoid"), lambda m, x, y: F.binary_cross_entropy(m(x), y), BINARY)
    assert_same(repaired, right)
    assert add_log_softmax.took_effect(record, Parameters(loss="binary_cross_entropy"))


def test_another_loss_is_refused() -> None:
    """A CrossEntropyLoss takes scores."""
    session = scores()
    session.loss_fn = nn.CrossEntropyLoss()
    with pytest.raises(CannotApply, match="the loss is CrossEntropyLoss"):
        add_log_softmax.apply(session, Parameters())


def test_candidates_take_the_loss_from_the_record() -> None:
    """The loss, what it gets and over which dimension come from what reached it."""
    plain = LossInputs(name="nll_loss", output_shape=(8, 3), output=(0.1, 0.8), sums_off=(5.0, 0.0))
    shares = LossInputs(name="kl_div", output_shape=(8, 3), target_shape=(8, 3), target_sums_off=(4.0, 1e-7))
    cut = LossInputs(name="binary_cross_entropy", output_shape=(8,), last=("clamp",))
    expected = {
        plain: Parameters(given="probabilities", dim=1),
        shares: Parameters(loss="kl_div", dim=1),
        cut: Parameters(loss="binary_cross_entropy"),
    }
    fired = diagnosis_of("logits_into_probability_loss")
    for one, parameters in expected.items():
        evidence = Evidence(record_with(loss_inputs=[one.model_dump(mode="json")]))
        assert [parameters] == add_log_softmax.candidates(fired, evidence)
        assert [] == add_log_softmax.candidates(diagnosis_of(), evidence)
