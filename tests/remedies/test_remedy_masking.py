"""masking: which runs are hidden, along which axes, and by what."""

from __future__ import annotations

import pytest
import torch
from batches import sequences, with_sequences
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.remedies import masking
from advisor.remedies.masking import Parameters, hide

FITTING = (with_sequences,)


def masked(inputs: Tensor, model: nn.Module | None = None, **parameters: float) -> Tensor:
    session = session_of(model or mlp(), (inputs, torch.zeros(len(inputs), dtype=torch.long)))
    masking.apply(session, Parameters(**parameters))
    batch: Tensor = session.batch_changes[0]((inputs,))[0]
    return batch


def test_one_run_of_time_gets_each_features_mean() -> None:
    """In every sample the changed steps follow one another, are at most a fifth, and hold each feature's mean."""
    samples = sequences(200)[0]
    result = masked(samples, time=0.2, features=0.0)
    widths = set()
    for before, after in zip(samples, result, strict=True):
        (changed,) = (before != after).any(1).nonzero(as_tuple=True)
        widths.add(len(changed))
        if len(changed):
            assert torch.equal(changed, torch.arange(int(changed[0]), int(changed[0]) + len(changed)))
            assert torch.allclose(after[changed], before.mean(0).expand(len(changed), 5))
    assert widths == {0, 1, 2, 3, 4}


def test_channels_first_where_the_model_begins_with_a_convolution() -> None:
    """With a Conv1d over 5 channels of 20 steps the last axis is time."""
    samples = sequences(50)[0].transpose(1, 2)
    model = nn.Sequential(nn.Conv1d(5, 4, 3), nn.Flatten(), nn.Linear(72, 3))
    changed = masked(samples, model, time=0.2, features=0.0) != samples
    assert bool((changed.any(1) == changed.all(1)).all())  # a step is hidden in all features or in none


def test_spectrograms_are_masked_along_both_axes() -> None:
    """What is hidden is a cross of a band and a stretch, at the sample's mean."""
    samples = torch.randn(30, 1, 40, 50)
    result = masked(samples, time=0.2, features=0.3)
    hidden = result != samples
    bands, stretches = hidden.all(3), hidden.all(2)
    assert torch.equal(hidden, bands[..., None] | stretches[..., None, :])
    assert int(bands.sum(2).max()) <= 12
    assert int(stretches.sum(2).max()) <= 10
    mean = samples.mean((1, 2, 3), keepdim=True).expand_as(samples)
    assert torch.allclose(result[hidden], mean[hidden])


def test_places_are_even() -> None:
    """The first and the last step are hidden about as often as the share says: half of the width draws, by place."""
    samples = torch.randn(4000, 10, 1)
    hidden = hide(samples, {1: 0.1}, torch.Generator().manual_seed(0), mean_over=(1,)) != samples
    share = hidden.squeeze(2).float().mean(0)
    assert torch.allclose(share, torch.full((10,), 0.05), atol=0.015)


def test_longer_batches_are_masked_too() -> None:
    """Padded batches of another length than the first one are changed as well."""
    session = with_sequences()
    masking.apply(session, Parameters())
    longer = torch.randn(64, 33, 5)
    assert not torch.equal(session.batch_changes[0]((longer, torch.zeros(64)))[0], longer)


def test_refused() -> None:
    """Tables, images in colour, a target for each step, sequences too short, and no batch to look at."""
    steps = torch.zeros(8, 20, dtype=torch.long)
    for reason, inputs, targets in (
        ("expected inputs", table()[0], None),
        ("expected inputs", torch.zeros(8, 3, 9, 9), None),
        ("target of its own", sequences(8)[0], steps),
        ("too short", torch.randn(8, 4, 4), None),
    ):
        session = session_of(mlp(), (inputs, torch.zeros(len(inputs)) if targets is None else targets))
        with pytest.raises(CannotApply, match=reason):
            masking.apply(session, Parameters())


def test_candidates() -> None:
    """For sequences and images of one channel that are not square."""

    def found(*shape: int) -> int:
        evidence = Evidence(record_with(input_batch={"shape": list(shape), "dtype": "float32"}))
        return len(masking.candidates(diagnosis_of("overfitting"), evidence))

    shapes = ((32, 20, 5), (32, 1, 40, 98), (32, 1, 28, 28), (32, 6), (32, 3, 40, 98))
    assert [found(*shape) for shape in shapes] == [2, 2, 0, 0, 0]
