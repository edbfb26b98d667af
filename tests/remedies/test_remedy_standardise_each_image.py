"""standardise_each_image: mean 0 and standard deviation 1, image by image. The hook: test_remedy_equalise_images.py."""

from __future__ import annotations

import torch
from batches import photos, with_photos
from sessions import diagnosis_of, record_with

from advisor.evidence import Evidence
from advisor.remedies import standardise_each_image
from advisor.remedies.standardise_each_image import Parameters, Standardised

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


def test_compiles() -> None:
    """torch.compile takes the hook in without a break."""
    session = with_photos()
    standardise_each_image.apply(session, Parameters())
    images = photos()[0]
    torch.compiler.reset()
    compiled = torch.compile(session.model, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(images), session.model(images), atol=1e-6)


def test_candidates() -> None:
    """For floating images."""
    image = Evidence(record_with(input_batch={"shape": [32, 3, 8, 8], "dtype": "float32"}))
    number = Evidence(record_with(input_batch={"shape": [32, 8], "dtype": "float32"}))
    assert standardise_each_image.candidates(diagnosis_of(), image) == [Parameters()]
    assert standardise_each_image.candidates(diagnosis_of(), number) == []
