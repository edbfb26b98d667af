"""softmax_over_classes: the run becomes the one of the script with the right dimension."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from sessions import diagnosis_of, record_with, session_of, table
from torch import Tensor, nn
from twins import assert_same, run

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.loss_inputs import LossInputs
from advisor.plan import Plan
from advisor.remedies import Session, softmax_over_classes
from advisor.remedies.softmax_over_classes import Parameters

LABELS = table()
PLAN = Plan.of("softmax_over_classes")


def small(*last: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3), *last)


def faulty() -> Session:
    return session_of(small(nn.LogSoftmax(dim=0)), table())


FITTING = (faulty,)


def nll(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.nll_loss(model(x), y)


def test_a_layer_gets_the_classes() -> None:
    """LogSoftmax(dim=0) gives the losses of LogSoftmax(dim=1), bit for bit."""
    repaired, _, record = run(lambda: small(nn.LogSoftmax(dim=0)), nll, LABELS, PLAN)
    assert repaired == run(lambda: small(nn.LogSoftmax(dim=1)), nll, LABELS)[0]
    found = {"calls": ["log_softmax"], "in_model": True, "in_loop": False}
    assert found == record.facts["remedy.softmax_over_classes"]


@pytest.mark.parametrize("how", ["function", "positional", "method", "keyword"])
def test_functions_in_the_loop_get_the_classes(how: str) -> None:
    """F.log_softmax(model(x), dim=0), torch.log_softmax(…, 0) and x.log_softmax(0) of the loop are changed as well."""
    ways = {
        "function": lambda s, d: F.log_softmax(s, dim=d),
        "positional": lambda s, d: torch.log_softmax(s, d),
        "method": lambda s, d: s.log_softmax(d),
        "keyword": lambda s, d: torch.log_softmax(input=s, dim=d),
    }

    def loss(dim: int) -> object:
        return lambda model, x, y: F.nll_loss(ways[how](model(x), dim), y)

    repaired, _, record = run(small, loss(0), LABELS, PLAN)  # type: ignore[arg-type]
    assert repaired == run(small, loss(1), LABELS)[0]  # type: ignore[arg-type]
    assert softmax_over_classes.took_effect(record, Parameters())


def test_the_loop_is_left_as_it_was() -> None:
    """After the loop a softmax over the first dimension is one again."""
    run(small, lambda model, x, y: F.nll_loss(F.log_softmax(model(x), dim=0), y), LABELS, PLAN)
    assert torch.overrides._get_current_function_mode_stack() == []
    assert torch.equal(torch.tensor([1.0, 1.0]), F.softmax(torch.randn(3, 2), dim=0).sum(0).round())


class Attention(nn.Module):
    """Its softmax has no dim, so that torch takes the first of three: the samples."""

    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.query, self.key, self.out = nn.Linear(2, 4), nn.Linear(2, 4), nn.Linear(2, 3)
        self.softmax = nn.Softmax(dim)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.reshape(-1, 3, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch deprecates a softmax without dim
            weights = self.softmax(self.query(tokens) @ self.key(tokens).transpose(1, 2))
        scores: Tensor = self.out((weights @ tokens).mean(1))
        return scores


def test_attention_over_samples_gets_its_keys() -> None:
    """A softmax inside the model that runs over the samples of three axes runs over the last one."""

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x), y)

    repaired, _, _ = run(lambda: Attention(None), loss, LABELS, PLAN)
    assert_same(repaired, run(lambda: Attention(-1), loss, LABELS)[0])


def test_a_softmax_that_is_right_is_left_alone() -> None:
    """A model whose softmax runs over the classes computes what it did, and the record says that nothing changed."""
    right, _, record = run(lambda: small(nn.LogSoftmax(dim=1)), nll, LABELS, PLAN)
    assert right == run(lambda: small(nn.LogSoftmax(dim=1)), nll, LABELS)[0]
    assert not softmax_over_classes.took_effect(record, Parameters())


def test_a_model_without_such_a_softmax_is_refused() -> None:
    """Where samples are mixed by something else, nothing is tried."""
    session = session_of(small(nn.LogSoftmax(dim=1)), table())
    with pytest.raises(CannotApply, match="no softmax of the model runs over dimension 0"):
        softmax_over_classes.apply(session, Parameters(where="model"))


def test_the_same_dimension_is_refused() -> None:
    """There is nothing to change where the new dimension is the old one."""
    with pytest.raises(CannotApply, match="runs over dimension 1 already"):
        softmax_over_classes.apply(faulty(), Parameters(wrong=1, dim=1))


def test_candidates_take_dimensions_from_the_record() -> None:
    """(N, T, C) before the loop's transpose: the classes are where the shape of the softmax has their number."""
    seen = LossInputs(
        name="nll_loss", measures="nll_loss", output_shape=(8, 5, 7), target_shape=(8, 7), softmax=(1, (8, 7, 5))
    )
    flat = LossInputs(name="nll_loss", measures="nll_loss", output_shape=(8, 5), softmax=(0, (8, 5)))
    for one, expected in ((seen, Parameters(wrong=1, dim=2)), (flat, Parameters(wrong=0, dim=1))):
        evidence = Evidence(record_with(loss_inputs=[one.model_dump(mode="json")]))
        assert [expected] == softmax_over_classes.candidates(diagnosis_of(), evidence)
    mixed = diagnosis_of("examples_mixed_in_batch")
    assert [Parameters(where="model")] == softmax_over_classes.candidates(mixed, Evidence(record_with()))
    wrong = diagnosis_of("softmax_over_wrong_dimension")
    assert [Parameters()] == softmax_over_classes.candidates(wrong, Evidence(record_with()))
    assert [] == softmax_over_classes.candidates(diagnosis_of(), Evidence(record_with()))
