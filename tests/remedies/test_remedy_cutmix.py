"""cutmix: which rectangle is pasted, and for whom it is offered. The losses are tested in test_mixing.py."""

from __future__ import annotations

import numpy as np
import torch
from batches import with_photos
from sessions import diagnosis_of, mlp, record_with, session_of, table

from advisor.evidence import Evidence
from advisor.remedies import cutmix
from advisor.remedies.cutmix import Parameters, rectangle

FITTING = (with_photos,)


def test_pixels_come_from_the_two_images_in_proportion_to_the_share() -> None:
    """With image i all i: what is pasted is the other image's number, and the share counts the pixels that stayed."""
    images = torch.arange(8.0).reshape(8, 1, 1, 1).expand(8, 1, 16, 20).contiguous()
    session = session_of(mlp(), (images, table(8)[1]))
    cutmix.apply(session, Parameters())
    mixer = session.batch_changes[0].__self__  # type: ignore[attr-defined]  # a bound method
    mixer._plain = False
    shares = []
    for _ in range(20):
        cut, _ = session.batch_changes[0]((images, table(8)[1]))
        mixed = mixer._recent[-1]
        stayed = cut == images
        assert torch.equal(torch.where(stayed, images, images[mixed.order]), cut)
        moved = mixed.order != torch.arange(8)
        assert torch.allclose(stayed[moved].float().mean((1, 2, 3)), torch.tensor(mixed.share), atol=1e-6)
        shares.append(mixed.share)
    assert min(shares) < 0.5 < max(shares)
    assert float(images[3].min()) == 3.0  # the user's images are not written to


def test_rectangle_has_its_area_but_where_it_is_cut_off() -> None:
    """Away from the edges the area is 1 - share up to rounding; never outside of the image."""
    draws = np.random.default_rng(0)
    for _ in range(200):
        top, bottom, left, right = rectangle(64, 32, 0.75, draws)
        assert 0 <= top <= bottom <= 64
        assert 0 <= left <= right <= 32
        if 0 < top and bottom < 64 and 0 < left and right < 32:
            assert (bottom - top, right - left) == (32, 16)


def test_candidates() -> None:
    """One choice for images; none for tables."""
    image = Evidence(record_with(input_batch={"shape": [32, 3, 8, 8], "dtype": "float32"}))
    table_ = Evidence(record_with(input_batch={"shape": [32, 6], "dtype": "float32"}))
    assert cutmix.candidates(diagnosis_of("overfitting"), image) == [Parameters()]
    assert cutmix.candidates(diagnosis_of("overfitting"), table_) == []
