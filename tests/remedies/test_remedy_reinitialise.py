"""reinitialise: which layers, whose draws, and at which scale."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sessions import Cnn, diagnosis_of, drive, images, mlp, record_with, session_of, table
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.record import Record, Series
from advisor.remedies import Session, reinitialise
from advisor.remedies._random import seed_of
from advisor.remedies.reinitialise import Parameters

NEW_WEIGHTS = True


def zeros() -> Session:
    model = mlp()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return session_of(model, table())


def photographs() -> Session:
    return session_of(Cnn(), images())


FITTING = (zeros, photographs)


def test_as_torch_draws_them() -> None:
    """A model of zeros gets, bit for bit, the weights that torch's layers get when they are made after that seed."""
    session = zeros()
    torch.manual_seed(11)
    reinitialise.apply(session, Parameters())
    torch.manual_seed(seed_of("reinitialise"))
    fresh = mlp()
    for one, other in zip(session.model.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(one, other)


def test_draws_follow_the_runs_seed_and_are_not_the_users() -> None:
    """One seed gives one model, another seed another one; what the script draws next is what it would have drawn."""
    weights, session = [], zeros()
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        reinitialise.apply(session, Parameters())
        drawn = torch.rand(3)
        weights.append(session.model.state_dict()["0.weight"].clone())
        torch.manual_seed(seed)
        assert torch.equal(drawn, torch.rand(3))
        assert torch.initial_seed() == seed
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(("scheme", "deviation"), [("kaiming", math.sqrt(2 / 300)), ("xavier", math.sqrt(2 / 700))])
def test_scale_of_the_schemes(scheme: Any, deviation: float) -> None:
    """Variances of 2 / inputs and 2 / (inputs + outputs), biases of 0."""
    layer = nn.Linear(300, 400)
    session = session_of(nn.Sequential(layer, nn.ReLU(), nn.Linear(400, 3)), table())
    reinitialise.apply(session, Parameters(scheme=scheme))
    assert float(layer.weight.detach().std()) == pytest.approx(deviation, rel=0.02)  # of 120,000: 0.2 %
    assert not layer.bias.any()


def test_what_is_left_alone() -> None:
    """Frozen layers, layers outside of the optimizer, normalisation and parameters of the user's own."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen = nn.Linear(6, 6).requires_grad_(False)
            self.outside, self.out = nn.Linear(6, 6), nn.Linear(6, 3)
            self.norm, self.scale = nn.LayerNorm(6), nn.Parameter(torch.full((6, 6), 2.0))

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.out(self.norm(self.outside(self.frozen(x))) @ self.scale)
            return logits

    model = Own()
    nn.init.constant_(model.norm.weight, 3.0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    trained = [p for name, p in model.named_parameters() if "outside" not in name]
    session = session_of(model, table(), torch.optim.SGD(trained, lr=0.1))
    reinitialise.apply(session, Parameters())
    changed = {key for key, value in model.state_dict().items() if not torch.equal(before[key], value)}
    assert changed == {"out.weight", "out.bias"}


class Constant(nn.Linear):
    """A layer whose own reset is the fault."""

    def reset_parameters(self) -> None:
        nn.init.constant_(self.weight, 0.5)
        nn.init.constant_(self.bias, 0.5)


def test_a_subclass_is_reset_by_torchs_own() -> None:
    """A reset of the user's that makes all units alike is not asked again."""
    model = nn.Sequential(Constant(6, 8), nn.Tanh(), nn.Linear(8, 3))
    reinitialise.apply(session_of(model, table()), Parameters())
    assert float(model[0].weight.detach().std()) > 0.1


def test_other_layers() -> None:
    """Embeddings, recurrent layers and attention are reset too, and a shared weight is drawn once."""

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(9, 8, padding_idx=0)
            self.cells, self.look = nn.GRU(8, 8), nn.MultiheadAttention(8, 2)
            self.out = nn.Linear(8, 9)
            self.out.weight = self.words.weight

    model = Words()
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.3)
    session = session_of(model, table())
    reinitialise.apply(session, Parameters())
    assert not model.words.weight[0].any()  # the padding, as nn.Embedding begins: nn.Linear would have drawn it
    matrices = [p for p in model.parameters() if p.dim() > 1]
    assert all(float(p.detach().std()) > 0.05 for p in matrices)
    assert session.facts["remedy.reinitialise"]["layers"] == ["words", "cells", "look", "look.out_proj"]  # type: ignore[index,call-overload]


def test_units_no_longer_alike() -> None:
    """A network that began at zero learns what it could not learn, with the optimizer it has."""
    session = zeros()
    session.optimizers[0] = torch.optim.Adam(session.model.parameters(), lr=0.03)
    session.epochs = 60
    reinitialise.apply(session, Parameters(scheme="xavier"))
    losses = drive(session)
    assert sum(losses[-3:]) < 0.5 * sum(losses[:3])


def test_nothing_trained() -> None:
    """A model without such layers is refused."""
    model = nn.Sequential(nn.LayerNorm(6))
    with pytest.raises(CannotApply, match="no Linear, Conv, Embedding or recurrent layer is trained"):
        reinitialise.apply(session_of(model, table()), Parameters())


def with_scales(*scales: float) -> Evidence:
    record: Record = record_with()
    at = np.zeros(1, np.int64)
    names = tuple(map(str, range(len(scales))))
    series = Series("initial_scale", "step", names, at, at, np.array([scales], np.float32))
    return Evidence(replace(record, series={"initial_scale": series}))


def test_candidates() -> None:
    """All schemes for the finding; none for weights that were trained before or drawn on purpose."""
    three = [Parameters(), Parameters(scheme="kaiming"), Parameters(scheme="xavier")]
    assert reinitialise.candidates(diagnosis_of("bad_initialization"), with_scales(28.0)) == three
    assert reinitialise.candidates(diagnosis_of("vanishing_gradients"), with_scales(0.58, math.nan, 0.56)) == three[1:]
    assert reinitialise.candidates(diagnosis_of("vanishing_gradients"), with_scales(0.58, 1.7)) == []
    assert reinitialise.candidates(diagnosis_of(), Evidence(record_with())) == []


def exploded(first: float) -> Evidence:
    """A regression with a first loss, on targets of mean 1 and deviation 1."""
    record = with_scales(1.25)._record
    at = np.ones(1, np.int64)
    loss = Series("step_loss", "step", ("",), at, at * 0, np.array([[first]], np.float32))
    known = replace(record, series={**record.series, "step_loss": loss})
    known = replace(known, info=known.info.model_copy(update={"task": "regression"}))
    return Evidence(replace(known, facts={"loss": "mse_loss", "targets": {"mean": 1.0, "std": 1.0}}))


def test_weights_from_which_the_gradient_explodes() -> None:
    """Drawn on purpose, and the first squared error is 100 where zeros have 2; at 3 they may be trained ones."""
    assert reinitialise.candidates(diagnosis_of("exploding_gradients"), exploded(100.0)) == [Parameters()]
    assert reinitialise.candidates(diagnosis_of("exploding_gradients"), exploded(3.0)) == []
    assert reinitialise.candidates(diagnosis_of("vanishing_gradients"), exploded(100.0)) == []
