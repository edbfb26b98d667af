"""standardise_each_image: mean 0 and standard deviation 1, image by image. The hook: test_each_image.py."""

from __future__ import annotations

import torch
from batches import photos, with_photos

from advisor.remedies.standardise_each_image import Standardised

FITTING = (with_photos,)


def test_mean_and_deviation_of_each_image() -> None:
    """Over all pixels and channels of an image, whatever its exposure; a second time changes nothing."""
    images = photos(8)[0] * torch.arange(1.0, 9.0).reshape(8, 1, 1, 1) + 5
    result = Standardised(3).change(images)
    assert torch.allclose(result.mean((1, 2, 3)), torch.zeros(8), atol=1e-5)
    assert torch.allclose(result.std((1, 2, 3), correction=0), torch.ones(8), atol=1e-5)
    assert torch.allclose(Standardised(3).change(result), result, atol=1e-5)


def test_one_shade_is_zero() -> None:
    """An image of one shade is not divided by nothing."""
    assert torch.equal(Standardised(3).change(torch.ones(2, 3, 4, 4)), torch.zeros(2, 3, 4, 4))
