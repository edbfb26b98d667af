"""Changes of each image by itself: what they are for, and that the model gets them whenever it is called."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from batches import photos, with_photos
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor, nn

from advisor.evidence import Evidence
from advisor.remedies import equalise_images, standardise_each_image
from advisor.remedies.equalise_images import Equalised
from advisor.remedies.standardise_each_image import Standardised

REMEDIES = (equalise_images, standardise_each_image)


class Named(nn.Module):
    """Called with a keyword."""

    def forward(self, pixel_values: Tensor) -> Tensor:
        return pixel_values


@pytest.mark.parametrize(
    ("remedy", "change"),
    [
        (equalise_images, lambda images: Equalised(3, float(images.min()), float(images.max())).change(images)),
        (standardise_each_image, lambda images: Standardised(3).change(images)),
    ],
)
def test_model_gets_them_in_any_mode_and_in_copies(remedy: Any, change: Callable[[Tensor], Tensor]) -> None:
    """Arguments by place and by name, train and eval mode, deepcopy and pickle; anything else passes."""
    images = photos(4)[0]
    session = session_of(model := Named(), (images, torch.zeros(4)), torch.optim.SGD(mlp().parameters()))
    remedy.apply(session, remedy.Parameters())
    expected = change(images)
    for one in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301  our own bytes
        for mode in (True, False):
            one.train(mode)
            assert torch.equal(one(images), expected)
            assert torch.equal(one(pixel_values=images), expected)
        assert torch.equal(one(table()[0]), table()[0])


@pytest.mark.parametrize("remedy", REMEDIES)
def test_compiles(remedy: Any) -> None:
    """torch.compile takes the hook in without a break."""
    session = with_photos()
    remedy.apply(session, remedy.Parameters())
    images = photos()[0]
    torch.compiler.reset()
    compiled = torch.compile(session.model, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(images), session.model(images), atol=1e-6)


@pytest.mark.parametrize("remedy", REMEDIES)
def test_candidates(remedy: Any) -> None:
    """For floating images; not for tables, and not for what is not known."""
    image = record_with(input_batch={"shape": [32, 3, 8, 8], "dtype": "float32"})
    number = record_with(input_batch={"shape": [32, 8], "dtype": "float32"})
    assert remedy.candidates(diagnosis_of(), Evidence(image)) == [remedy.Parameters()]
    assert remedy.candidates(diagnosis_of(), Evidence(number)) == []
    assert remedy.candidates(diagnosis_of(), Evidence(record_with())) == []
