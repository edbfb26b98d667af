"""equalise_images: the classical histogram equalisation, in training, in validation and afterwards."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from batches import photos, with_photos
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
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


class Named(nn.Module):
    """Called with a keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Tensor | None = None

    def forward(self, pixel_values: Tensor) -> Tensor:
        self.seen = pixel_values
        return pixel_values


def test_model_gets_them_in_any_mode_and_in_copies() -> None:
    """Arguments by place and by name, train and eval mode, deepcopy and pickle; anything else passes."""
    images = photos(4)[0]
    session = session_of(model := Named(), (images, torch.zeros(4)), torch.optim.SGD(mlp().parameters()))
    equalise_images.apply(session, Parameters())
    expected = Equalised(3, float(images.min()), float(images.max())).change(images)
    for one in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301  our own bytes
        for mode in (True, False):
            one.train(mode)
            assert torch.equal(one(images), expected)
            assert torch.equal(one(pixel_values=images), expected)
        assert torch.equal(one(table()[0]), table()[0])


def test_compiles() -> None:
    """torch.compile takes the hook in without a break."""
    session = with_photos()
    equalise_images.apply(session, Parameters())
    images = photos()[0]
    torch.compiler.reset()
    compiled = torch.compile(session.model, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(images), session.model(images), atol=1e-6)


def test_refused() -> None:
    """Tables, bytes, and images of one shade."""
    for reason, inputs in (
        ("expected images", table()[0]),
        ("expected images", torch.zeros(8, 3, 4, 4, dtype=torch.uint8)),
        ("one shade", torch.ones(8, 3, 4, 4)),
    ):
        with pytest.raises(CannotApply, match=reason):
            equalise_images.apply(session_of(mlp(), (inputs, torch.zeros(len(inputs)))), Parameters())


def test_candidates() -> None:
    """For floating images."""
    evidence = Evidence(record_with(input_batch={"shape": [32, 3, 8, 8], "dtype": "float32"}))
    assert equalise_images.candidates(diagnosis_of(), evidence) == [Parameters()]
    assert equalise_images.candidates(diagnosis_of(), Evidence(record_with())) == []
