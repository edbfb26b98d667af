"""trivial_augment: torchvision's own operations, image by image, with random numbers that are not the user's."""

from __future__ import annotations

import pytest
import torch
from batches import photos, with_photos
from sessions import diagnosis_of, mlp, record_with, session_of
from torch import Tensor
from torchvision.transforms import v2

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.remedies import trivial_augment
from advisor.remedies._random import seed_of
from advisor.remedies.trivial_augment import Parameters

FITTING = (with_photos,)


def changed(images: Tensor) -> Tensor:
    session = session_of(mlp(), (images, torch.zeros(len(images))), batch_size=len(images))
    state = torch.get_rng_state()
    trivial_augment.apply(session, Parameters())
    result: Tensor = session.batch_changes[0]((images, torch.zeros(len(images))))[0]
    assert torch.equal(state, torch.get_rng_state())
    return result


def by_hand(images: Tensor) -> Tensor:
    augment = v2.TrivialAugmentWide()
    seed = seed_of("trivial_augment")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.stack([augment(image) for image in images])


def test_bytes_are_torchvisions() -> None:
    """Bit for bit what TrivialAugmentWide gives image by image from the same seed, and no draw of the user's."""
    images = (photos()[0] * 255).to(torch.uint8)
    result = changed(images)
    assert torch.equal(result, by_hand(images))
    assert not torch.equal(result, images)


def test_shares_of_one_are_changed_as_bytes() -> None:
    """Floating images in [0, 1] come back in [0, 1], 255 times what the bytes would be."""
    images = photos()[0]
    expected = by_hand((images * 255).round().to(torch.uint8)).float() / 255
    assert torch.allclose(changed(images), expected)


def test_refused() -> None:
    """Normalised images, shares whose white is not seen, tables, two channels, targets that are images."""
    images = photos(4)[0]
    for reason, inputs, targets in (
        ("lie between -", images * 2 - 1, torch.zeros(4)),
        ("lie between [0-9]", images * 16, torch.zeros(4)),
        ("lie between [0-9]", images * 0.4, torch.zeros(4)),
        ("expected images", torch.rand(4, 6), torch.zeros(4)),
        ("expected images", torch.rand(4, 2, 32, 32), torch.zeros(4)),
        ("targets are images too", images, torch.zeros(4, 32, 32)),
    ):
        with pytest.raises(CannotApply, match=reason):
            trivial_augment.apply(session_of(mlp(), (inputs, targets)), Parameters())


def test_candidates() -> None:
    """For images of the size that its strengths were set on."""

    def found(*shape: int) -> int:
        evidence = Evidence(record_with(input_batch={"shape": list(shape), "dtype": "float32"}))
        return len(trivial_augment.candidates(diagnosis_of("overfitting"), evidence))

    assert [found(32, 3, 32, 32), found(32, 1, 28, 28), found(32, 4, 64, 64), found(32, 6)] == [1, 0, 0, 0]
