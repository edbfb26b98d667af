"""average_weights: which weights are evaluated, which are trained, which are left in the model."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from sessions import diagnosis_of, drive, mlp, record_with, session_of, table, with_validation
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, average_weights
from advisor.remedies.average_weights import Parameters

EPOCHS, STEPS = 8, 3  # batches of 8 of 24 samples


class Run:
    """A watched training, and what a user sees of it."""

    def __init__(self, plan: Plan | None, *, inference: bool = False, step_after: bool = False) -> None:
        torch.manual_seed(0)
        self.model = mlp()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.05)
        self.losses: list[float] = []
        self.raw: list[list[Tensor]] = []  # after every step
        self.evaluated: list[list[Tensor]] = []  # in every validation
        x, y = table()
        train = DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True)
        val = DataLoader(TensorDataset(x, y), batch_size=24)
        watch = advisor.watch(range(EPOCHS), self.model, self.optimizer, train=train, val=val, plan=plan, report=False)
        for _ in watch:
            self.model.train()
            for a, b in train:
                self.optimizer.zero_grad()
                loss = F.cross_entropy(self.model(a), b)
                loss.backward()
                if step_after:
                    self.evaluate(val, inference=inference)
                    self.model.train()
                self.optimizer.step()
                self.losses.append(float(loss.detach()))
                self.raw.append(weights(self.model))
            self.evaluate(val, inference=inference)
        self.record = watch.record

    def evaluate(self, val: DataLoader[Any], *, inference: bool) -> None:
        self.model.eval()
        with torch.inference_mode() if inference else torch.no_grad():
            for a, b in val:
                F.cross_entropy(self.model(a), b)
                self.evaluated.append(weights(self.model))


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def close(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one, other, strict=True))


def load(model: nn.Module, values: list[Tensor]) -> None:
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), values, strict=True):
            parameter.copy_(value)


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_training_is_as_without_it(kind: str, *, inference: bool) -> None:
    """Losses and raw weights of every step are bit for bit those of the plain run; validation sees other weights."""
    plain, averaged = Run(None), Run(Plan.of("average_weights", kind=kind), inference=inference)
    assert averaged.record.problems == ()
    assert plain.losses == averaged.losses
    assert all(equal(one, other) for one, other in zip(plain.raw, averaged.raw, strict=True))
    assert equal(plain.evaluated[-1], plain.raw[-1])
    assert not close(averaged.evaluated[-1], averaged.raw[-1])


def test_step_after_an_evaluation_is_made_from_the_raw_weights() -> None:
    """A loop that evaluates between backward and step trains as it would have."""
    plain = Run(None, step_after=True)
    averaged = Run(Plan.of("average_weights"), step_after=True)
    assert all(equal(one, other) for one, other in zip(plain.raw, averaged.raw, strict=True))


def test_ema_is_the_average_that_it_says() -> None:
    """Validated and kept are the weights of the recursion with decay min(0.5, (1 + n) / (10 + n)) over all steps."""
    run = Run(Plan.of("average_weights", decay=0.5))
    torch.manual_seed(0)
    mean = weights(mlp())
    expected = []
    for number, step in enumerate(run.raw, start=1):
        decay = min(0.5, (1 + number) / (10 + number))
        mean = [decay * m + (1 - decay) * w for m, w in zip(mean, step, strict=True)]
        expected.append(mean)
    for epoch in range(EPOCHS):
        assert close(run.evaluated[epoch], expected[(epoch + 1) * STEPS - 1])
    assert close(weights(run.model), expected[-1])


def test_swa_is_torchs_average_over_the_last_quarter() -> None:
    """Before it begins validation sees the raw weights; from epoch 6 of 8 the plain mean of the steps since."""
    run = Run(Plan.of("average_weights", kind="swa"))
    late = run.raw[6 * STEPS :]
    model = mlp()
    averaged = AveragedModel(model)
    expected = []
    for step in late:
        load(model, step)
        averaged.update_parameters(model)
        expected.append(weights(averaged.module))
    assert equal(run.evaluated[5], run.raw[6 * STEPS - 1])
    assert close(run.evaluated[6], expected[STEPS - 1])
    assert close(run.evaluated[7], expected[-1])
    assert close(weights(run.model), expected[-1])


def test_hooks_end_with_the_loop() -> None:
    """Afterwards evaluation and training of the model change no weight by themselves, and a copy is free of it."""
    session = session_of(model := mlp(), table(), epochs=2)
    average_weights.apply(session, Parameters())
    drive(session)
    twin = copy.deepcopy(model)
    before = weights(model)
    for one in (model, twin):
        one.train()(table()[0])
        with torch.no_grad():
            one.eval()(table()[0])
        assert equal(weights(one), before)


def test_best_weights_that_early_stopping_puts_back_are_the_average_that_scored() -> None:
    """In either order of the plan the model ends with the weights that were validated in the best epoch."""
    for plan in (
        Plan.of("average_weights") + Plan.of("early_stopping", patience=1),
        Plan.of("early_stopping", patience=1) + Plan.of("average_weights"),
    ):
        run = Run(plan)
        best = run.record.facts["best_weights_epoch"]
        assert isinstance(best, int)
        assert equal(weights(run.model), run.evaluated[best])


def test_half_precision_is_averaged_in_single() -> None:
    """A step of a thousandth of a bfloat16 weight is not rounded away in the average."""
    model = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    session = Session(model, [torch.optim.SGD(model.parameters(), lr=0.1)], [])
    average_weights.apply(session, Parameters(decay=0.999))
    load(model, [torch.tensor([[1.0]])])
    for step in range(1, 20):
        session.step_actions[0](step)
    before = float(model.weight.detach())
    load(model, [torch.tensor([[2.0]])])
    for step in range(20, 12_000):
        session.step_actions[0](step)
    session.finish_actions[0]()
    assert before == 1.0
    assert float(model.weight.detach()) == 2.0


def test_refused() -> None:
    """Nothing to train; `swa` in an endless loop, and with a batch norm."""
    swa = Parameters(kind="swa")
    with pytest.raises(CannotApply, match="endless loop has no last quarter"):
        average_weights.apply(session_of(mlp(), table(), epochs=None), swa)
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    with pytest.raises(CannotApply, match="statistics of a batch norm"):
        average_weights.apply(session_of(model, table()), swa)
    frozen = mlp().requires_grad_(requires_grad=False)
    with pytest.raises(CannotApply, match="nothing is trained"):
        average_weights.apply(Session(frozen, [], []), Parameters())


def test_candidates() -> None:
    """Two decays, and `swa` where no norm forbids it; none where nothing is validated or training is too short."""

    def found(*rules: str, **facts: Any) -> list[str]:
        evidence = Evidence(with_validation(record_with(**facts)))
        return [choice.kind for choice in average_weights.candidates(diagnosis_of(*rules), evidence)]

    assert found("oscillating_loss", normalisation=False) == ["ema", "ema", "swa"]
    assert found("oscillating_loss", normalisation=True) == ["ema", "ema"]
    assert found("too_few_epochs") == []
    assert average_weights.candidates(diagnosis_of(), Evidence(record_with())) == []
