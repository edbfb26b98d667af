"""equalise_images: the classical histogram equalisation. The hook: test_each_image.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from batches import photos, with_photos
from sessions import mlp, session_of, table

from advisor.errors import CannotApply
from advisor.remedies import equalise_images
from advisor.remedies.equalise_images import Equalised, Parameters

FITTING = (with_photos,)


def test_bytes_are_equalised_as_in_the_textbook() -> None:
    """(cdf - cdf_min) / (pixels - cdf_min) of a histogram of 256 levels, channel by channel, image by image."""
    images = torch.randint(0, 256, (4, 3, 16, 16), generator=torch.Generator().manual_seed(0)).float() ** 2 // 256
    result = Equalised(3, 0.0, 1.0).change(images)
    for image, found in zip(images.flatten(0, 1).numpy(), result.flatten(0, 1).numpy(), strict=True):
        levels = image.astype(int)
        cdf = np.bincount(levels.ravel(), minlength=256).cumsum()
        lowest = cdf[levels.min()]
        assert found == pytest.approx((cdf[levels] - lowest) / (levels.size - lowest), abs=1e-6)


def test_exposure_and_contrast_do_not_matter() -> None:
    """Any rising map of an image's intensities gives the same image; a second time changes nothing."""
    images = photos(4)[0]
    hook = Equalised(3, 0.0, 1.0)
    expected = hook.change(images)
    for mapped in (images * 3 - 7, images**3, images.exp()):
        assert torch.allclose(hook.change(mapped), expected, atol=1e-2)
    assert torch.allclose(hook.change(expected), expected, atol=1e-6)


def test_one_shade_stays() -> None:
    """A channel of one shade is what it was."""
    images = photos(2)[0]
    images[0, 1] = 0.25
    assert torch.equal(Equalised(3, 0.0, 1.0).change(images)[0, 1], images[0, 1])


def test_refused() -> None:
    """Tables, bytes, and images of one shade."""
    for reason, inputs in (
        ("expected images", table()[0]),
        ("expected images", torch.zeros(8, 3, 4, 4, dtype=torch.uint8)),
        ("one shade", torch.ones(8, 3, 4, 4)),
    ):
        with pytest.raises(CannotApply, match=reason):
            equalise_images.apply(session_of(mlp(), (inputs, torch.zeros(len(inputs)))), Parameters())
