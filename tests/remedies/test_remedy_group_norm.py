"""group_norm: batch normalisation computes it in place, or it is grafted; the run is that of the layer written in."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from sessions import Cnn, diagnosis_of, drive, images, mlp, record_with, same_losses, session_of, table
from torch import nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.remedies import Session, group_norm
from advisor.remedies.group_norm import Parameters


def network(norm: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 32), norm, nn.ReLU(), nn.Linear(32, 3))


def batch_normalised() -> Session:
    return session_of(network(nn.BatchNorm1d(32)), table(), batch_size=2)


def plain() -> Session:
    return session_of(mlp(), table())


def photographs() -> Session:
    return session_of(Cnn(), images())


FITTING = (batch_normalised, plain, photographs)


@pytest.mark.parametrize("exchanged", [True, False])
def test_same_run_as_with_the_layer_written_in(exchanged: bool) -> None:
    """Training is bit for bit that of the model with nn.GroupNorm in the place of nn.BatchNorm1d, or of nothing."""
    torch.manual_seed(0)
    model = network(nn.BatchNorm1d(32)) if exchanged else network(nn.Identity())
    torch.manual_seed(0)
    written = network(nn.GroupNorm(2, 32))
    one = session_of(model, table(), torch.optim.Adam(model.parameters()), batch_size=2)
    two = session_of(written, table(), torch.optim.Adam(written.parameters()), batch_size=2)
    group_norm.apply(one, Parameters())
    assert same_losses(one, two)


def test_same_object_and_state() -> None:
    """The layer, its parameters and the keys of the state are those of before; its statistics no longer move."""
    session = batch_normalised()
    assert isinstance(session.model, nn.Sequential)
    norm: Any = session.model[1]
    weight, keys, mean = norm.weight, list(session.model.state_dict()), norm.running_mean.clone()
    group_norm.apply(session, Parameters())
    drive(session)
    assert session.model[1] is norm
    assert norm.weight is weight
    assert list(session.model.state_dict()) == keys
    assert torch.equal(norm.running_mean, mean)
    fresh = network(nn.BatchNorm1d(32))
    fresh.load_state_dict(session.model.state_dict())


def test_maps_and_groups() -> None:
    """Of 32 channels two groups: each has mean 0 and deviation 1 in every sample."""
    model = nn.Sequential(nn.Conv2d(1, 32, 3), nn.BatchNorm2d(32), nn.Flatten(), nn.LazyLinear(3))
    model(images()[0])
    group_norm.apply(session_of(model, images()), Parameters())
    found = model[:2](images()[0]).reshape(24, 2, -1)
    assert torch.allclose(found.mean(2), torch.zeros(24, 2), atol=1e-5)
    assert torch.allclose(found.std(2, correction=0), torch.ones(24, 2), atol=1e-3)


def test_batches_of_one_sample() -> None:
    """What batch normalisation cannot take at all is trained."""
    session = session_of(network(nn.BatchNorm1d(32)), table(3), batch_size=1)
    group_norm.apply(session, Parameters())
    drive(session)


def test_model_is_a_model() -> None:
    """Copies, pickles and compiled models compute what the model computes, in training as in evaluation."""
    for fitting in FITTING:
        session = fitting()
        group_norm.apply(session, Parameters())
        drive(session)
        x = session.example()[0]  # type: ignore[index]  # it has one
        expected = session.model(x)
        for twin in (copy.deepcopy(session.model), pickle.loads(pickle.dumps(session.model))):  # noqa: S301  our bytes
            assert torch.equal(expected, twin.eval()(x))
        torch.compiler.reset()
        assert torch.allclose(torch.compile(session.model, backend="eager", fullgraph=True)(x), expected)


def test_frozen_norms_are_left_alone() -> None:
    """Batch normalisation that a fine-tuning run froze keeps its statistics; there is nothing else to change."""
    model = network(nn.BatchNorm1d(32).requires_grad_(False))
    with pytest.raises(CannotApply, match=r"already normalises \(1\)"):
        group_norm.apply(session_of(model, table()), Parameters())
    assert type(model[1]) is nn.BatchNorm1d


def test_kind_in_the_record() -> None:
    """It is no batch normalisation for whoever asks, so that nobody warns of small batches."""
    session = batch_normalised()
    group_norm.apply(session, Parameters())
    assert isinstance(session.model, nn.Sequential)
    assert not isinstance(session.model[1], nn.modules.batchnorm._BatchNorm)
    assert str(session.model[1]) == "GroupNormForBatchNorm(groups=2, eps=1e-05)"


def test_candidates() -> None:
    """Where batch normalisation is blamed, and where there is no normalisation."""
    normalised, free = Evidence(record_with(normalisation=True)), Evidence(record_with(normalisation=False))
    assert group_norm.candidates(diagnosis_of("batch_too_small_for_batchnorm"), normalised) == [Parameters()]
    assert group_norm.candidates(diagnosis_of("underfitting"), normalised) == []
    assert group_norm.candidates(diagnosis_of("underfitting"), free) == [Parameters()]


def test_size_of_groups() -> None:
    """Channels are divided evenly, at least 16 in a group where there are so many."""
    assert [group_norm.groups_of(units, 16) for units in (64, 48, 40, 8)] == [4, 3, 2, 1]
