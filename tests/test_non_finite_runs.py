"""A run whose weights are no numbers has failed, and ends at once in a trial; a spoilt batch left out is no failure."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.assignment import Assignment, Rival, assign
from advisor.ending import Pruned
from advisor.metric import Metric, result
from advisor.plan import Plan
from advisor.record import Record, RunInfo, Series
from advisor.store import Store

ACCURACY = Metric("val_accuracy", "max")
EPOCHS = 6


def trained(plan: Plan, rival: Rival | None = None, *, spoilt: bool = True) -> Record:
    """A run of a plan with one training sample that is no number, in every epoch; it may end early."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(96, 4, generator=generator)
    y = (x[:, 0] > 0).long()
    if spoilt:
        x[5, 1] = math.nan
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    train, val = DataLoader(TensorDataset(x[:64], y[:64]), 16), DataLoader(TensorDataset(x[64:], y[64:]), 32)
    assign(Assignment(plan=plan, rival=rival, quiet=True))
    watch = advisor.watch(range(EPOCHS), model, optimizer, cross_entropy, train=train, val=val, report=False)
    try:
        for _ in watch:
            for inputs, targets in train:
                optimizer.zero_grad()
                cross_entropy(model(inputs), targets).backward()
                optimizer.step()
    except Pruned:
        pass
    finally:
        assign(None)
    return Store().record(watch.record.info.id)


def test_a_run_that_leaves_the_spoilt_batch_out_counts() -> None:
    """No training loss is a number, the weights and the validation are; without the plan it has failed."""
    repaired, broken = trained(Plan.of("skip_bad_steps")), trained(Plan())
    assert not np.isfinite(repaired.series["train_loss"].values).any()
    assert result(repaired, ACCURACY).final > 0.8
    assert math.isnan(result(broken, ACCURACY).final)


def test_a_trial_that_went_non_finite_ends_at_once() -> None:
    """Before its rival's first epoch, and its result is that of a failed run; a sound one goes on."""
    rival = Rival({EPOCHS - 1: -9.0}, metric="val_accuracy")
    broken = trained(Plan(), rival)
    assert (broken.info.status, broken.epochs_seen) == ("pruned", 1)
    assert math.isnan(result(broken, ACCURACY).final)
    assert trained(Plan.of("skip_bad_steps"), rival).epochs_seen == EPOCHS
    assert trained(Plan(), rival, spoilt=False).epochs_seen == EPOCHS


@pytest.mark.parametrize(
    ("train", "val", "failed"),
    [
        ((1.0, math.nan), (1.0, math.nan), True),
        ((1.0, math.nan), (1.0, 0.9), False),
        ((math.nan, 0.5), (1.0, 0.9), False),
        ((1.0, math.nan), (1.0,), True),  # the validation loss is from before
        ((1.0, math.nan), (), True),
    ],
)
def test_which_runs_have_failed(train: tuple[float, ...], val: tuple[float, ...], *, failed: bool) -> None:
    """Those without a finite loss in their newest epoch."""
    values = {"train_loss": train, "val_loss": val, "val_accuracy": (0.5,) * len(train)}
    series = {
        name: Series(name, "val", ("",), np.arange(len(v)), np.arange(len(v)), np.array(v, np.float32)[:, None])
        for name, v in values.items()
        if v
    }
    record = Record(RunInfo(), series, {"first_non_finite": {"where": "loss", "step": 3, "epoch": 1}})
    assert math.isnan(result(record, ACCURACY).final) is failed
