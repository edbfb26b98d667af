"""restore_modes: each forward pass in the mode that it is for; what is frozen keeps its own."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from loops import Program, program, run, same, usual
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor, nn

from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, restore_modes
from advisor.remedies.restore_modes import Parameters


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 8), nn.BatchNorm1d(8),
        nn.Linear(8, 3),
    )  # fmt: skip


def forgetful() -> Session:
    """Its loss function leaves the model in train mode, also in the middle of a validation."""
    session = session_of(mlp(), table())

    def loss_fn(output: Tensor, target: Tensor) -> Tensor:
        session.model.train()
        return F.cross_entropy(output, target)

    session.loss_fn = loss_fn
    return session


FITTING = (forgetful,)


def never_trains_again(made: Program) -> None:
    for x, y in made.train:
        made.step(x, y)
    made.model.eval()
    made.validate()


def never_evaluates(made: Program) -> None:
    for x, y in made.train:
        made.step(x, y)
    made.validate()


def validates_with_gradients(made: Program) -> None:
    for x, y in made.train:
        made.step(x, y)
    for x, y in made.val:
        made.losses.append(F.cross_entropy(made.model(x), y).item())


@pytest.mark.parametrize(
    ("loop", "which"),
    [
        (never_trains_again, "train"),
        (never_trains_again, "both"),
        (never_evaluates, "eval"),
        (never_evaluates, "both"),
        (validates_with_gradients, "eval"),
        (usual, "both"),
    ],
)
def test_it_is_the_loop_with_both_calls(loop: object, which: str) -> None:
    """Every loss, weight and running statistic is that of the loop with train() and eval()."""
    repaired = run(program(network), loop, Plan.of("restore_modes", which=which))  # type: ignore[arg-type]
    assert same(repaired, run(program(network), usual, watched=False))
    assert not repaired.model.training


@pytest.mark.parametrize("loop", [never_trains_again, never_evaluates])
def test_without_it_they_differ(loop: object) -> None:
    """The faults are faults."""
    assert not same(run(program(network), loop), run(program(network), usual, watched=False))  # type: ignore[arg-type]


def test_what_is_frozen_stays_in_eval_mode() -> None:
    """A batch norm that was in eval mode while the model trained is so again after a validation."""

    def right(made: Program) -> None:
        made.model.train()
        made.model[1].eval()  # type: ignore[index]
        for x, y in made.train:
            made.step(x, y)
        made.model.eval()
        made.validate()

    def frozen() -> nn.Sequential:
        model = network()
        model[1].eval()
        return model

    expected = run(program(frozen), right, watched=False)
    assert same(run(program(frozen), never_trains_again, Plan.of("restore_modes", which="train")), expected)
    assert same(run(program(frozen), never_evaluates, Plan.of("restore_modes", which="eval")), expected)


def test_the_record_no_longer_shows_the_fault() -> None:
    """No step in eval mode, no validation in train mode; our own passes are not counted as the loop's."""
    plan = Plan.of("restore_modes")
    for loop in (never_trains_again, never_evaluates):
        record = run(program(network), loop, plan).record
        assert float(record.series["eval_in_training"].values.max()) == 0
        assert float(record.series["train_in_validation"].values.max()) == 0
    note = run(program(network), usual, plan).record.facts["remedy.restore_modes"]
    assert note == {"train": 0, "eval": 0}


def test_copies_and_pickles_are_plain() -> None:
    """A copy that is made in the loop, of the best model say, keeps the mode that its owner gives it."""
    session = session_of(network(), table())
    restore_modes.apply(session, Parameters())
    for twin in (copy.deepcopy(session.model), pickle.loads(pickle.dumps(session.model))):  # noqa: S301  our own bytes
        twin.eval()
        twin(torch.zeros(2, 6))
        assert not twin.training


def test_it_ends_with_the_loop() -> None:
    """After the loop the model has no hook."""
    made = run(program(network), usual, Plan.of("restore_modes"))
    assert not made.model._forward_pre_hooks


def test_candidates() -> None:
    """By the finding: one mode, or both."""
    nothing = Evidence(record_with())

    def which(*rules: str) -> list[str]:
        return [c.which for c in restore_modes.candidates(diagnosis_of(*rules), nothing)]

    assert which("training_in_eval_mode") == ["train"]
    assert which("validating_in_train_mode") == ["eval"]
    assert which("training_in_eval_mode", "validating_in_train_mode") == ["both"]
    assert which("overfitting") == []
