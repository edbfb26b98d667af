"""fill_missing: the run is that of the script that fills its data with the mean and leaves out what has no target."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from sessions import diagnosis_of, mlp, record_with, session_of, table, watched
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, fill_missing, standardise_inputs
from advisor.remedies.fill_missing import FILL, Parameters

PLAN = Plan.of("fill_missing")


def incomplete() -> tuple[Tensor, Tensor]:
    x, y = table()
    x = x + 3
    x[3, 2], x[7, 2], x[20, 5] = math.nan, math.inf, -math.inf
    return x, y


def filled() -> Tensor:
    x = incomplete()[0]
    for column in x.T:
        column[~column.isfinite()] = column[column.isfinite()].mean()
    return x


def incomplete_session() -> Session:
    return session_of(mlp(), incomplete())


FITTING = (incomplete_session,)


def test_same_run_as_with_filled_data() -> None:
    """Training and the clean pass in eval mode give the losses of the script that fills its table."""
    repaired, written = mlp(), mlp()
    written.load_state_dict(repaired.state_dict())
    torch.manual_seed(5)
    one = watched(session_of(repaired, incomplete()), PLAN)
    torch.manual_seed(5)
    two = watched(session_of(written, (filled(), incomplete()[1])))
    assert one.series["train_loss"].values == pytest.approx(two.series["train_loss"].values, rel=1e-5)
    clean, expected = (record.series["clean_train_loss"].values[-1] for record in (one, two))
    assert clean == pytest.approx(expected, rel=1e-5)
    assert one.facts["remedy.fill_missing"] == {
        "filled": 3 * 8 * 2,
        "dropped": 0,
    }  # 8 epochs, each trains and validates


def test_without_it_the_run_is_lost() -> None:
    """The same data without the plan make the loss NaN, so the test above shows something."""
    assert not math.isfinite(float(watched(incomplete_session()).series["train_loss"].values[-1, 0]))


class Regression:
    """Six features, one target; two targets are missing."""

    def __init__(self) -> None:
        self.x = table()[0]
        self.y = self.x.sum(1, keepdim=True)
        self.y[4], self.y[17] = math.nan, math.inf

    def train(self, model: nn.Module, data: TensorDataset, plan: Plan | None) -> advisor.Record:
        loader = DataLoader(data, batch_size=8)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        watch = advisor.watch(range(3), model, optimizer, train=loader, plan=plan, report=False)
        for _ in watch:
            for x, y in loader:
                optimizer.zero_grad()
                F.mse_loss(model(x), y).backward()
                optimizer.step()
            with torch.no_grad():
                F.mse_loss(model(self.x), self.y)
        assert watch.record.problems == ()
        return watch.record


def test_samples_without_a_target_are_left_out() -> None:
    """Training is that of batches without them, bit for bit, and the validation loss is over the other targets."""
    given = Regression()
    repaired = nn.Linear(6, 1)
    written = copy.deepcopy(repaired)
    record = given.train(repaired, TensorDataset(given.x, given.y), PLAN)
    optimizer = torch.optim.SGD(written.parameters(), lr=0.01)
    kept = given.y.isfinite().flatten()
    for _ in range(3):
        for at in (slice(0, 8), slice(8, 16), slice(16, 24)):
            optimizer.zero_grad()
            F.mse_loss(written(given.x[at][kept[at]]), given.y[at][kept[at]]).backward()
            optimizer.step()
    assert torch.equal(repaired.weight, written.weight)
    expected = F.mse_loss(written(given.x[kept]), given.y[kept]).detach()
    assert float(record.series["val_loss"].values[-1, 0]) == pytest.approx(float(expected))
    assert record.facts["remedy.fill_missing"] == {"filled": 0, "dropped": 6}


def test_filling_comes_before_scaling() -> None:
    """Whatever the order of a plan: what is missing becomes the mean, which is 0 once it is standardised."""
    for names in (("fill_missing", "standardise_inputs"), ("standardise_inputs", "fill_missing")):
        session = incomplete_session()
        for name in names:
            module: Any = {"fill_missing": fill_missing, "standardise_inputs": standardise_inputs}[name]
            module.apply(session, module.Parameters())
        seen: list[Tensor] = []
        assert isinstance(session.model, nn.Sequential)
        session.model[0].register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0]))
        with torch.no_grad():
            session.model(incomplete()[0])
        assert seen[0][[3, 7, 20], [2, 2, 5]].tolist() == pytest.approx([0, 0, 0], abs=1e-6)


def test_feature_that_is_never_there() -> None:
    """It is filled with 0."""
    x, y = table()
    x[:, 1] = math.nan
    session = session_of(mlp(), (x, y))
    fill_missing.apply(session, Parameters())
    assert float(session.model.get_buffer(FILL)[1]) == 0.0


def test_rows_of_named_and_nested_batches() -> None:
    """Every tensor with a row a sample loses the row; anything else stays."""
    session = incomplete_session()
    fill_missing.apply(session, Parameters())
    batch = {
        "x": torch.arange(3),
        "more": [torch.arange(6).view(3, 2), "name"],
        "labels": torch.tensor([1.0, math.nan, 2]),
    }
    for change in session.batch_changes:
        batch = change(batch)
    assert batch["x"].tolist() == [0, 2]
    assert batch["more"][0].tolist() == [[0, 1], [4, 5]]
    assert batch["more"][1] == "name"
    assert batch["labels"].tolist() == [1.0, 2.0]


def test_model_goes_on_filling() -> None:
    """Copies, pickles and compiled models compute what the repaired model computes."""
    session = incomplete_session()
    watched(session, PLAN)
    model, x = session.model.eval(), incomplete()[0]
    expected = model(x)
    assert expected.isfinite().all()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301  our own bytes
        assert torch.equal(expected, twin(x))
    torch.compiler.reset()
    assert torch.allclose(torch.compile(model, backend="eager", fullgraph=True)(x), expected)


def test_tokens_are_refused() -> None:
    """Token numbers are never missing."""
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(24, 3))
    with pytest.raises(CannotApply, match="inputs are no numbers"):
        fill_missing.apply(session_of(model, (torch.randint(9, (24, 6)), table()[1])), Parameters())


def test_candidates() -> None:
    """Only where something was found missing."""
    assert fill_missing.candidates(diagnosis_of("non_finite_inputs"), Evidence(record_with())) == [Parameters()]
    assert fill_missing.candidates(diagnosis_of(), Evidence(record_with())) == []
    seen = {"data": {"checked": 24, "inputs": 3, "targets": 0}, "given": [0, 3]}
    assert fill_missing.candidates(diagnosis_of(), Evidence(record_with(non_finite=seen))) == [Parameters()]
    exploded = {"data": {"checked": 24, "inputs": 0, "targets": 0}, "given": [0, 3]}
    assert fill_missing.candidates(diagnosis_of("non_finite_loss"), Evidence(record_with(non_finite=exploded))) == []
