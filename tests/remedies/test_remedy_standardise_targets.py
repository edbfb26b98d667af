"""standardise_targets: the run is that of the script that standardises its targets and turns the outputs back."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, standardise_targets
from advisor.remedies.standardise_targets import MEAN, SCALE, Parameters

PLAN = Plan.of("standardise_targets")


def network(outputs: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, outputs))


def prices(outputs: int = 1) -> tuple[Tensor, Tensor]:
    x = table()[0]
    return x, torch.stack([5000 * (k + 1) + 900 * x[:, k] - 400 * x[:, k + 1] for k in range(outputs)], 1)


def regression(outputs: int = 1, loss_fn: Any = F.mse_loss) -> Session:
    session = session_of(network(outputs), prices(outputs))
    session.loss_fn, session.task = loss_fn, "regression"
    return session


def of_modules() -> Session:
    return regression(loss_fn=nn.SmoothL1Loss())


FITTING = (regression, of_modules)


def fit(model: nn.Module, data: tuple[Tensor, Tensor], plan: Plan | None, loss: Any = F.mse_loss) -> advisor.Record:
    """A usual loop; the validation is on the first samples."""
    x, y = data
    loader = DataLoader(TensorDataset(x, y), batch_size=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    watch = advisor.watch(range(5), model, optimizer, train=loader, plan=plan, report=False)
    for _ in watch:
        for xb, yb in loader:
            optimizer.zero_grad()
            loss(model(xb), yb).backward()
            optimizer.step()
        with torch.no_grad():
            loss(model(x[:10]), y[:10])
    assert watch.record.problems == ()
    return watch.record


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, nn.HuberLoss()])
def test_same_run_as_with_standardised_targets(outputs: int, loss: Any) -> None:
    """Weights are those of the script that divides its targets; predictions and validation are in the user's units."""
    x, y = prices(outputs)
    repaired = network(outputs)
    written = copy.deepcopy(repaired)
    mean, scale = y.mean(0), y.std(0, correction=0)
    one = fit(repaired, (x, y), PLAN, loss)
    two = fit(written, (x, (y - mean) / scale), None, loss)
    for name, value in written.state_dict().items():
        assert torch.allclose(repaired.state_dict()[name], value, atol=1e-4)
    predicted = (mean + scale * written(x)).detach()
    assert torch.allclose(repaired(x), predicted, rtol=1e-4)
    assert one.series["train_loss"].values == pytest.approx(two.series["train_loss"].values, rel=1e-3)
    expected = float(loss(predicted[:10], y[:10]))
    assert float(one.series["val_loss"].values[-1, 0]) == pytest.approx(expected, rel=1e-3)


def test_clean_pass_is_in_the_users_units() -> None:
    """What the record says of the training data in eval mode can be compared with validation."""
    x, y = prices()
    model = network()
    record = fit(model, (x, y), PLAN)
    expected = float(F.mse_loss(model(x), y).detach())
    assert float(record.series["clean_train_loss"].values[-1, 0]) == pytest.approx(expected, rel=1e-3)


def test_without_a_loader_the_numbers_can_be_given() -> None:
    """mean= and std= take the place of what is measured, and the loop's own form of output and target is kept."""
    x, y = prices()
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    given = Plan.of("standardise_targets", mean=5000.0, std=1000.0)
    expected = copy.deepcopy(model)
    watch = advisor.watch(range(1), model, optimizer, plan=given, report=False)
    for _ in watch:
        F.mse_loss(model(x).squeeze(1), y.squeeze(1)).backward()
        optimizer.step()
    F.mse_loss(expected(x), (y - 5000) / 1000).backward()
    assert torch.allclose(model[0].weight.grad, expected[0].weight.grad, atol=1e-4)
    with pytest.raises(CannotApply, match="no targets that are numbers could be read; pass train="):
        standardise_targets.apply(Session(network(), [optimizer], []), Parameters())


def test_loss_written_out_takes_no_effect() -> None:
    """The record does not claim what was not reached."""
    record = fit(network(), prices(), PLAN, lambda output, target: ((output - target) ** 2).mean())
    assert not standardise_targets.took_effect(record, Parameters())


def test_model_goes_on_in_the_users_units() -> None:
    """Copies, pickles and compiled models compute what the repaired model computes; its first output in a tuple."""
    model, (x, y) = network(), prices()
    fit(model, (x, y), PLAN)
    expected = model(x)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301  our own bytes
        assert torch.equal(expected, twin(x))
    torch.compiler.reset()
    assert torch.allclose(torch.compile(model, backend="eager", fullgraph=True)(x), expected)
    pair = standardise_targets.in_units(model, None, (torch.zeros(3, 1), "state"))
    assert pair[0].flatten().tolist() == [float(model.get_buffer(MEAN))] * 3
    assert pair[1] == "state"


def test_half_precision() -> None:
    """An output of float16, which ends at 65,504, comes out in the units all the same."""
    model = network()
    model.register_buffer(MEAN, torch.tensor(3e5))
    model.register_buffer(SCALE, torch.tensor(1e5))
    found = standardise_targets.in_units(model, None, torch.ones(2, 1, dtype=torch.float16))
    assert found.flatten().tolist() == [4e5, 4e5]


def test_second_loop() -> None:
    """A second loop over the same model does not turn the outputs twice."""
    model, data = network(), prices()
    fit(model, data, PLAN)
    first = F.mse_loss(model(data[0]), data[1])
    record = fit(model, data, PLAN)
    assert float(record.series["val_loss"].values[-1, 0]) < 2 * float(first.detach())


def test_refused() -> None:
    """A loss of classes, targets that are classes, and one number of two."""
    with pytest.raises(CannotApply, match="cross_entropy does not compare"):
        standardise_targets.apply(session_of(mlp(), table()), Parameters())
    classes = session_of(mlp(), table())
    classes.loss_fn = None
    with pytest.raises(CannotApply, match="no targets that are numbers"):
        standardise_targets.apply(classes, Parameters())
    with pytest.raises(ValueError, match="mean and std go together"):
        Parameters(mean=1.0)


def test_candidates() -> None:
    """For a regression with large targets: those of the data set, then those that the loss got."""
    facts: dict[str, Any] = {"targets": {"mean": 4000.0, "std": 1500.0}, "loss": "mse_loss"}
    record = record_with(**facts)
    regression = type(record)(record.info.model_copy(update={"task": "regression"}), {}, record.facts)
    both = [Parameters(), Parameters(mean=4000.0, std=1500.0)]
    assert standardise_targets.candidates(diagnosis_of("unscaled_targets"), Evidence(regression)) == both
    assert standardise_targets.candidates(diagnosis_of(), Evidence(regression)) == both
    assert standardise_targets.candidates(diagnosis_of("unscaled_targets"), Evidence(record)) == []
    assert standardise_targets.candidates(diagnosis_of(), Evidence(record_with())) == []
