"""What reaches loaders and losses -> what inputs and targets are like: exact, by construction."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from handed import facts, labels, loader, rows, watch_step
from torch import nn
from torch.nn import functional

import advisor
from advisor.instruments._moments import Moments
from advisor.instruments.targets import described


def test_pooled_moments_are_those_of_the_whole() -> None:
    """Against numpy on all rows at once, with a mean a thousand times the deviation."""
    x = 1000.0 + rows(90, width=3) * torch.tensor([1.0, 0.1, 10.0])
    moments = Moments()
    for part in x.split(40):
        moments.add(part)
    pooled = moments.pooled()
    assert pooled is not None
    assert pooled[0] == pytest.approx(x.double().numpy().mean(0), rel=1e-6)
    assert pooled[1] == pytest.approx(x.double().numpy().std(0), rel=1e-3)


@pytest.mark.parametrize(
    ("shape", "features"), [((8, 5), 5), ((8, 3, 9, 9), 3), ((8, 20, 4), 4), ((8, 4, 20), 4), ((8,), 1)]
)
def test_a_feature_is_a_column_a_channel_or_a_variable(shape: tuple[int, ...], features: int) -> None:
    """Tables, images, and series in either layout."""
    moments = Moments()
    moments.add(torch.zeros(shape))
    pooled = moments.pooled()
    assert pooled is not None
    assert len(pooled[0]) == features


def test_inputs_are_compared_as_the_model_gets_them() -> None:
    """The loop doubles training inputs and forgets to in validation: half of the spread there."""
    x = rows(64)
    torch.manual_seed(0)
    model = nn.Linear(6, 2)
    watch = advisor.watch(range(2), model, torch.optim.SGD(model.parameters(), 0.01), report=False)
    for _ in watch:
        for xb, yb in loader(x):
            functional.cross_entropy(model(2 * xb), yb).backward()
            watch_step(model)
        with torch.no_grad():
            for xb, yb in loader(x):
                functional.cross_entropy(model(xb), yb)
    found = watch.record.facts["inputs"]
    assert isinstance(found, dict)
    assert (found["level"], found["features"], found["spread"]) == ("model", 6, pytest.approx(0.5, abs=0.1))


def test_what_enters_the_first_layer_is_described() -> None:
    """A column of 3 and one of ±20, behind a layer without parameters."""
    x = torch.stack([torch.full((32,), 3.0), 20.0 * (2.0 * labels(32) - 1.0)], 1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    found = facts(loader(x), loader(x), model=model)["first_layer_input"]
    assert (found["layer"], found["kind"], found["features"]) == ("1", "Linear", 2)
    assert (found["largest"], found["smallest"], found["offset"]) == (20.0, 20.0, 0.0)


def test_targets_are_described() -> None:
    """-1, 0, 1 over and over, and one of 1000: a 301st part, which holds nearly all squares."""
    found = described(np.array([-1.0, 0.0, 1.0] * 100 + [1000.0]), "regression")
    assert (found["median"], found["mad"], found["greatest"], found["distinct"]) == (0.0, 1.0, 1000.0, 4)
    assert found["outliers"] == pytest.approx(1 / 301, rel=1e-4)
    assert found["outlier_squares"] == pytest.approx(1e6 / (1e6 + 200), rel=1e-4)


def test_targets_that_a_loss_cannot_take_are_counted() -> None:
    """One of four is NaN; of a binary loss -1 is outside; of a classification it is ignored."""
    values = np.array([-1.0, 0.0, 1.0, math.nan])
    assert described(values, "binary")["not_finite"] == 0.25
    assert described(values, "binary")["outside"] == pytest.approx(1 / 3, rel=1e-4)
    assert described(values, "multiclass")["ignored"] == pytest.approx(1 / 3, rel=1e-4)
