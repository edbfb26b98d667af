"""augmentation: what happens to images, tables and sequences, in which part of a batch, by whose random numbers."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest
import torch
from sessions import Cnn, diagnosis_of, images, mlp, record_of, record_with, session_of, table
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.remedies import Session, augmentation
from advisor.remedies._images import look
from advisor.remedies._warp import warp
from advisor.remedies.augmentation import Parameters


def session_over(inputs: Tensor, targets: Tensor | None = None) -> Session:
    session = session_of(mlp(), table())
    session._example = lambda: (inputs, targets)
    return session


def changed(batch: Any, example: Tensor, **parameters: Any) -> Any:
    session = session_over(example)
    augmentation.apply(session, Parameters(**parameters))
    (change,) = session.batch_changes
    return change(batch)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def shifted(image: Tensor, down: int, across: int) -> Tensor:
    """An image (C, H, W) moved by whole pixels, its edge repeated."""
    padded = nn.functional.pad(image[None], (1, 1, 1, 1), mode="replicate")[0]
    _, height, width = image.shape
    return padded[:, 1 - down : 1 - down + height, 1 - across : 1 - across + width]


def test_shift_copies_whole_pixels_and_repeats_the_edge() -> None:
    """Each 8×8 image is one of its nine shifts by at most one pixel, exactly; all nine occur."""
    source = torch.randn(2, 8, 8)
    result = warp(source.expand(100, 2, 8, 8), generator(), shift=0.125)
    nine = [shifted(source, down, across) for down in (-1, 0, 1) for across in (-1, 0, 1)]
    found = [next(i for i, one in enumerate(nine) if torch.equal(one, image)) for image in result]
    assert set(found) == set(range(9))


def test_flip_mirrors_about_half_of_the_images() -> None:
    """Each image is itself or its mirror image, exactly."""
    source = torch.randn(1, 5, 8)
    result = warp(source.expand(100, 1, 5, 8), generator(), flip=True)
    mirrored = [torch.equal(image, source.flip(2)) for image in result]
    assert all(torch.equal(image, source) != mirror for image, mirror in zip(result, mirrored, strict=True))
    assert 30 < sum(mirrored) < 70


def test_rotation_keeps_angles_in_an_image_that_is_not_square() -> None:
    """A point off the centre of a 21×41 image stays at its distance from the centre, at an angle within the limit."""
    source = torch.zeros(1, 21, 41)
    source[0, 10, 28] = 1.0  # 8 pixels to the right of the centre (10, 20)
    for image in warp(source.expand(20, 1, 21, 41), generator(), rotation=90.0):
        down, across = (image[0] * torch.arange(21.0)[:, None]).sum(), (image[0] * torch.arange(41.0)).sum()
        mass = image.sum()
        distance = ((down / mass - 10) ** 2 + (across / mass - 20) ** 2).sqrt()
        assert float(distance) == pytest.approx(8.0, abs=0.3)


def test_rotation_by_at_most_nothing_is_the_image() -> None:
    """No angle, no scale, no shift: the pixels themselves."""
    source = torch.randn(3, 1, 8, 8)
    assert torch.equal(warp(source, generator()), source)


def test_scale_enlarges_about_the_centre() -> None:
    """A ramp around the centre gets steeper or flatter by at most the scale."""
    ramp = (torch.arange(21.0) - 10).expand(50, 1, 21, 21)
    slopes = warp(ramp, generator(), scale=0.2)[:, 0, 10, 11]
    assert slopes.min() >= 1 / 1.2 - 1e-4
    assert slopes.max() <= 1 / 0.8 + 1e-4
    assert slopes.std() > 0.05


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float64])
def test_type_is_kept(dtype: torch.dtype) -> None:
    """Bytes stay bytes within their range, and short floats stay short."""
    source = (torch.rand(4, 3, 8, 8, generator=generator()) * 255).to(dtype)
    result = warp(source, generator(), shift=0.2, rotation=10.0, shear=10.0, crop=0.2)
    assert (result.dtype, result.shape) == (source.dtype, source.shape)
    assert float(result.max()) <= 255


def test_shear_moves_rows_sideways_in_proportion_to_their_height() -> None:
    """A vertical line becomes a straight slanted one through the centre, at an angle within the limit."""
    source = torch.zeros(1, 21, 21)
    source[0, :, 10] = 1.0
    columns = torch.arange(21.0) - 10
    rows = torch.arange(5, 16)
    slopes = []
    for image in warp(source.expand(20, 1, 21, 21), generator(), shear=30.0)[:, 0, rows]:
        places = (image * columns).sum(1) / image.sum(1)
        slope = float(places[-1] - places[0]) / 10
        assert torch.allclose(places, slope * (rows - 10), atol=0.15)
        slopes.append(abs(slope))
    assert 0.2 < max(slopes) < 0.6  # tan 30° is 0.58


def test_crop_enlarges_a_part_from_inside() -> None:
    """A ramp of columns stays a ramp, flatter by at most the share that is cut, with nothing from beyond the edge."""
    ramp = torch.arange(40.0).expand(50, 1, 40, 40)
    rows = warp(ramp, generator(), crop=0.5)[:, 0, 20]
    slopes = rows[:, 30] - rows[:, 29]
    assert slopes.min() >= 0.5 - 1e-4
    assert slopes.max() <= 1 + 1e-4
    assert slopes.std() > 0.05
    kept = slopes * 39  # from the first column's middle to the last one's
    assert torch.allclose(rows[:, -1] - rows[:, 0], kept, atol=0.51)  # at the edge half a pixel repeats it


def test_contrast_stretches_around_an_images_own_mean() -> None:
    """Each image leaves its mean by one factor within the limit; the mean stays."""
    source = torch.rand(200, 3, 4, 4, generator=generator())
    result = look(source, generator(), spread=1.0, contrast=0.3)
    mean = source.mean((1, 2, 3), keepdim=True)
    factor = (result - mean) / (source - mean)
    assert torch.allclose(result.mean((1, 2, 3), keepdim=True), mean, atol=1e-5)
    assert torch.allclose(factor, factor[:, :1, :1, :1].expand_as(factor), atol=1e-2)
    assert 0.7 <= factor.min() < 0.75
    assert 1.25 < factor[:, 0, 0, 0].max() <= 1.31


def test_brightness_shifts_a_whole_image() -> None:
    """All pixels of an image move by the same amount, at most its share of the spread."""
    source = torch.rand(200, 1, 4, 4, generator=generator())
    moved = look(source, generator(), spread=2.0, brightness=0.5) - source
    assert torch.allclose(moved, moved[:, :1, :1, :1].expand_as(moved), atol=1e-6)
    assert 0.95 < float(moved.abs().max()) <= 1.0


def test_colour_keeps_what_is_grey_in_the_sum() -> None:
    """The mean over the channels of each pixel stays, the channels do not; an image of one channel stays itself."""
    source = torch.rand(20, 3, 4, 4, generator=generator())
    result = look(source, generator(), spread=0.3, colour=0.5)
    assert torch.allclose(result.mean(1), source.mean(1), atol=1e-6)
    assert not torch.allclose(result, source, atol=0.05)
    assert torch.equal(look(source[:, :1], generator(), spread=0.3, colour=0.5), source[:, :1])


def test_looks_of_bytes_stay_bytes() -> None:
    """Bytes are rounded and stay within their range."""
    source = (torch.rand(8, 3, 4, 4, generator=generator()) * 255).to(torch.uint8)
    result = look(source, generator(), spread=100.0, contrast=0.9, brightness=1.0, colour=0.9)
    assert result.dtype is torch.uint8
    assert not torch.equal(result, source)


def test_every_sample_draws_its_own() -> None:
    """Equal samples of a batch come out different, for all kinds of inputs."""
    for shape in ((16, 1, 8, 8), (16, 6), (16, 5, 3)):
        example = torch.randn(16, *shape[1:])
        batch = example[:1].expand(shape)
        assert len(changed(batch, example, rotation=20.0).flatten(1).unique(dim=0)) == 16


def test_table_noise_is_relative_to_the_feature() -> None:
    """Noise of 0.1 has a tenth of the feature's standard deviation; a code of two values gets none."""
    example = torch.randn(2000, 3) * torch.tensor([1.0, 100.0, 1.0])
    example[:, 2] = (example[:, 2] > 0).float()
    noise = changed(example, example, noise=0.1) - example
    assert float(noise[:, 0].std()) == pytest.approx(0.1, rel=0.1)
    assert float(noise[:, 1].std()) == pytest.approx(10.0, rel=0.1)
    assert torch.equal(noise[:, 2], torch.zeros(2000))


def test_sequences_are_scaled_as_a_whole() -> None:
    """With scaling alone each sequence is multiplied by one factor around 1."""
    example = torch.randn(500, 7, 2)
    ratio = changed(example, example, noise=0.0, scaling=0.1) / example
    assert torch.allclose(ratio, ratio[:, :1, :1].expand_as(ratio), rtol=1e-4)
    assert float(ratio[:, 0, 0].std()) == pytest.approx(0.1, rel=0.15)


Pair = namedtuple("Pair", ["image", "label"])


def test_structure_of_a_batch_is_kept() -> None:
    """Lists, tuples, named tuples, dicts and nested ones keep their type; only the first such input changes."""
    inputs, targets = images(4)
    weights = torch.ones(4)
    for batch in ((inputs, targets), [inputs, targets], Pair(inputs, targets), ((inputs, weights), targets)):
        result = changed(batch, inputs)
        assert type(result) is type(batch)
        assert result[1] is targets
        first = result[0][0] if isinstance(result[0], tuple) else result[0]
        assert not torch.equal(first, inputs)
    given = {"labels": targets, "weights": weights, "pixel_values": inputs, "more": inputs}
    result = changed(given, inputs)
    assert list(result) == list(given)
    assert not torch.equal(result["pixel_values"], inputs)
    assert all(result[key] is given[key] for key in ("labels", "weights", "more"))
    assert given["pixel_values"] is inputs


def test_batch_of_something_else_is_passed_on() -> None:
    """A batch without such an input comes back itself, and does not count as an effect."""
    session = session_over(images(4)[0])
    augmentation.apply(session, Parameters())
    other = (torch.zeros(4, 6), torch.zeros(4))
    assert session.batch_changes[0](other) is other
    session.finish_actions[0]()
    assert not augmentation.took_effect(record_of(session), Parameters())


def test_users_random_numbers_are_not_drawn() -> None:
    """Changing a batch leaves the global generator as it was, and the run's seed decides what is drawn."""
    example = images(8)[0]

    def draws(seed: int) -> Tensor:
        session = session_over(example)
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        augmentation.apply(session, Parameters(rotation=20.0))
        result: Tensor = session.batch_changes[0](example)
        assert torch.equal(before, torch.get_rng_state())
        return result

    assert torch.equal(draws(1), draws(1))
    assert not torch.equal(draws(1), draws(2))


def test_facts_say_the_kind() -> None:
    """The kind that the shape was taken for, and how many batches were changed."""
    session = session_of(Cnn(), images())
    augmentation.apply(session, Parameters())
    session.batch_changes[0](session.example())
    session.finish_actions[0]()
    assert session.facts["remedy.augmentation"] == {"kind": "images", "shape": [8, 1, 8, 8], "batches": 1}


def test_refused() -> None:
    """Words, images with their channels last, images as targets, nothing to draw, and no batch to look at."""
    image = torch.zeros(2, 3, 8, 8)
    refused = [
        ("expected inputs", session_over(torch.zeros(2, 5, dtype=torch.long)), {}),
        ("expected inputs", session_over(torch.zeros(2, 8, 8, 3)), {}),
        ("expected inputs", session_over(torch.zeros(2, 3, 4, 8, 8)), {}),
        ("the targets are images too", session_over(image, torch.zeros(2, 8, 8)), {}),
        ("are all 0", session_over(image), {"shift": 0.0}),
        ("noise and scaling are 0", session_over(torch.randn(2, 3)), {"noise": 0.0}),
        ("two values or one", session_over(torch.ones(4, 3)), {}),
    ]
    for reason, session, parameters in refused:
        with pytest.raises(CannotApply, match=reason):
            augmentation.apply(session, Parameters(**parameters))
    session = session_of(mlp(), table())
    session._example = None
    with pytest.raises(CannotApply, match="no training batch to look at; pass train="):
        augmentation.apply(session, Parameters())


def test_candidates_by_shape() -> None:
    """Images: a gentle shift first, the flip last and colour where there is any; else noise; tokens nothing."""

    def found(shape: list[int], dtype: str = "float32") -> list[Parameters]:
        evidence = Evidence(record_with(input_batch={"shape": shape, "dtype": dtype}))
        return augmentation.candidates(diagnosis_of("overfitting"), evidence)

    assert [choice.flip for choice in found([32, 3, 32, 32])] == [False, False, True]
    assert found([32, 3, 32, 32])[0] == Parameters(shift=0.125)
    assert [choice.colour > 0 for choice in found([32, 3, 32, 32], "uint8")] == [False, False, True]
    assert [choice.colour > 0 for choice in found([32, 1, 32, 32])] == [False, False, False]
    assert [choice.noise for choice in found([32, 6])] == [0.1, 0.3]
    assert [choice.noise for choice in found([32, 20, 6])] == [0.03, 0.1]
    assert found([32, 20], "int64") == []
    assert found([32, 3, 8, 8], "int64") == []
    assert found([32]) == []
    evidence = Evidence(record_with(input_batch={"shape": [32, 6], "dtype": "float32"}))
    assert augmentation.candidates(diagnosis_of("excessive_augmentation"), evidence) == []
