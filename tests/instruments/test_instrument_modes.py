"""Modes at training steps and in validation, and what the rules make of the ways in which people set them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional
from watched import every_step, loader, usual, watched  # noqa: F401  a fixture

import advisor
from advisor.evidence import Evidence
from advisor.instruments.modes import _drops
from advisor.record import Record
from advisor.rulebook import load_rules

pytestmark = pytest.mark.usefixtures("every_step")
RULES = load_rules(counts={})


def network() -> nn.Sequential:
    """Batch normalisation and dropout, below a head with dropout."""
    body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2))
    return nn.Sequential(body, nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 2)))


def found(record: Record, rule: str = "training_in_eval_mode") -> bool:
    outcome = RULES[rule].run(Evidence(record))
    assert outcome.result in ("fired", "clear"), outcome
    return outcome.result == "fired"


def trained_with(model: nn.Module, begin: Callable[[], object], end: Callable[[], object] = lambda: None) -> Record:
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    return watched(model, optimizer, usual(model, optimizer), epochs=4, begin=begin, end=end)


def test_a_model_that_stays_in_eval_mode_after_validation() -> None:
    """Exact shares, epoch by epoch: none in epoch 0, all from epoch 1 on."""
    model = network()
    record = trained_with(model, begin=lambda: None, end=model.eval)
    assert record.series["eval_in_training"].values.tolist() == [[0, 0, 0], [1, 1, 1], [1, 1, 1], [1, 1, 1]]
    finding = RULES["training_in_eval_mode"].run(Evidence(record)).finding
    assert finding is not None
    assert (finding.since, finding.confidence) == (1, 0.97)


@pytest.mark.parametrize(
    "begin",
    [
        lambda model: model.train(),
        lambda model: model.train() and model[0][1].eval(),  # frozen statistics, as in detection
        lambda model: model.eval() and model[1].train(),  # everything but the head, as in fine-tuning
        lambda model: model.requires_grad_(False) and model[1].requires_grad_(True) and model.eval()[1].train(),
    ],
    ids=["train mode", "batch norm in eval mode", "only the head in train mode", "frozen body"],
)
def test_a_mixture_of_modes_is_a_choice(begin: Callable[[nn.Module], object]) -> None:
    """Nobody who sets modes apart is accused."""
    model = network()
    model[1].requires_grad_(True)
    assert not found(trained_with(model, begin=lambda: begin(model)))


def test_eval_mode_from_the_start_is_a_fault_where_something_is_lost() -> None:
    """Dropout, or batch normalisation that has never counted; not batch normalisation that was trained before."""
    fresh = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    counted = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    counted(torch.randn(16, 4))
    models = (network(), fresh, counted)
    assert [found(trained_with(m, begin=m.eval)) for m in models] == [True, True, False]


def test_a_model_without_such_modules_has_no_mode() -> None:
    """Eval mode throughout, and nothing that would behave otherwise."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.0), nn.Linear(8, 2))
    record = trained_with(model, begin=model.eval)
    assert not found(record)
    assert record.facts["mode_modules"] == {"dropout": 0, "normalisation": 0, "untouched": 0}


def validated(model: nn.Module, before: Callable[[], object], *, losses: bool = True, batches: int = 6) -> Record:
    """A loop that validates, with a loss or by counting right answers, on some batches of its loader."""
    optimizer, train, val = torch.optim.SGD(model.parameters(), 0.1), loader(), loader(1)
    step = usual(model, optimizer)
    watch = advisor.watch(range(3), model, optimizer, train=train, val=val, report=False)
    for _ in watch:
        model.train()
        for x, y in train:
            step(x, y)
        before()
        with torch.no_grad():
            for i, (x, y) in enumerate(val):
                output = model(x)
                if losses:
                    functional.cross_entropy(output, y)
                if i + 1 == batches:
                    break
    assert watch.record.problems == ()
    return watch.record


@pytest.mark.parametrize("losses", [True, False])
def test_validation_in_train_mode_is_seen(losses: bool) -> None:
    """With and without a loss of the loop's own."""
    model = network()
    record = validated(model, model.train, losses=losses)
    assert record.series["train_in_validation"].values.tolist() == [[1, 1, 1]] * 3
    assert found(record, "validating_in_train_mode")


@pytest.mark.parametrize("batches", [1, 6])
@pytest.mark.parametrize("losses", [True, False])
def test_validation_in_eval_mode_is_no_fault(losses: bool, batches: int) -> None:
    """Also where it ends early without a loss, and is judged only when the model is in train mode again."""
    model = network()
    assert not found(validated(model, model.eval, losses=losses, batches=batches), "validating_in_train_mode")


def test_dropout_alone_in_validation_is_a_choice() -> None:
    """Monte Carlo dropout: the model is in eval mode, its dropout is not."""
    model = network()
    record = validated(model, lambda: model.eval() and model[1][0].train())
    assert not found(record, "validating_in_train_mode")


class DropPath(nn.Module):
    """Stochastic depth as people write it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.dropout(x, 0.1, self.training)


class Branches(nn.Module):
    """Asks for its mode and draws nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.training else x.clamp(0, 1)


def test_what_drops_out() -> None:
    """Torch's modules by their rates, others by what their forward calls."""
    dropping = [nn.Dropout(0.1), nn.LSTM(2, 2, 2, dropout=0.1), nn.MultiheadAttention(2, 1, 0.1), DropPath()]
    others = [nn.Dropout(0.0), nn.LSTM(2, 2), nn.MultiheadAttention(2, 1), Branches(), nn.Linear(2, 2)]
    assert ([_drops(m) for m in dropping], [_drops(m) for m in others]) == ([True] * 4, [False] * 5)
