"""What a shift does to the seeds that a script sets, and what it leaves alone."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader

from advisor.seeds import shift_of, shift_seeds


def _torch_seeded() -> list[float]:
    torch.manual_seed(3)
    return torch.rand(4).tolist()


def _generator() -> list[int]:
    return torch.randperm(50, generator=torch.Generator().manual_seed(3)).tolist()


def _untouched_generator() -> list[int]:
    return torch.randperm(50, generator=torch.Generator()).tolist()


def _numpy_seeded() -> list[float]:
    np.random.seed(3)
    return np.random.rand(4).tolist()


def _random_state() -> list[float]:
    return np.random.RandomState(3).rand(4).tolist()


def _random_state_seeded_later() -> list[float]:
    state = np.random.RandomState()
    state.seed(3)
    return state.rand(4).tolist()


def _default_rng() -> list[float]:
    return np.random.default_rng(3).random(4).tolist()


def _default_rng_by_name() -> list[float]:
    return np.random.default_rng(seed=np.int64(3)).random(4).tolist()


def _python_seeded() -> list[float]:
    random.seed(3)
    return [random.random() for _ in range(4)]


def _python_generator() -> list[float]:
    own = random.Random(3)
    return [own.random() for _ in range(4)]


def _shuffled_loader() -> list[list[int]]:
    torch.manual_seed(3)
    return [batch.tolist() for batch in DataLoader(list(range(50)), batch_size=10, shuffle=True)]  # type: ignore[arg-type]


SEEDED = [
    _torch_seeded,
    _generator,
    _untouched_generator,
    _numpy_seeded,
    _random_state,
    _random_state_seeded_later,
    _default_rng,
    _default_rng_by_name,
    _python_seeded,
    _python_generator,
    _shuffled_loader,
]


@pytest.mark.parametrize("draw", SEEDED)
def test_no_shift_changes_nothing(draw: Callable[[], object]) -> None:
    """Under seed 0 every generator gives what it gives outside of a trial."""
    outside = draw()
    with shift_seeds(shift_of(0)):
        assert draw() == outside


@pytest.mark.parametrize("draw", SEEDED)
def test_a_shift_gives_other_numbers_and_the_same_again(draw: Callable[[], object]) -> None:
    """Seed 1 differs from seed 0 and from seed 2, and agrees with itself."""
    drawn = {}
    for seed in (0, 1, 2):
        with shift_seeds(shift_of(seed)):
            drawn[seed] = draw()
        with shift_seeds(shift_of(seed)):
            assert draw() == drawn[seed]
    assert drawn[0] != drawn[1] != drawn[2] != drawn[0]


def test_the_shift_is_added_to_the_seed() -> None:
    """`torch.manual_seed(3)` under a shift of 40 is `torch.manual_seed(43)`, and likewise for numpy and random."""
    with shift_seeds(40):
        torch.manual_seed(3)
        assert torch.initial_seed() == 43
        assert torch.Generator().manual_seed(3).initial_seed() == 43
        shifted = np.random.RandomState(3).rand(), np.random.default_rng(3).random(), random.Random(3).random()
    assert shifted == (np.random.RandomState(43).rand(), np.random.default_rng(43).random(), random.Random(43).random())


def test_large_seeds_wrap_instead_of_failing() -> None:
    """numpy takes 32 bits and torch 64; a shift beyond them starts again from 0."""
    with shift_seeds(2):
        np.random.seed(2**32 - 1)
        first = np.random.rand()
        torch.manual_seed(2**64 - 1)
        assert torch.initial_seed() == 1
    np.random.seed(1)
    assert first == np.random.rand()


def test_a_script_without_seeds_is_matched() -> None:
    """Numbers that are drawn without any seed agree between two trials of one seed, and differ between seeds."""

    def draw(seed: int) -> list[float]:
        with shift_seeds(shift_of(seed)):
            rng, state = np.random.default_rng(), np.random.RandomState()
            return [torch.rand(1).item(), np.random.rand(), random.random(), rng.random(), state.rand()]

    assert draw(1) == draw(1)
    assert all(one != two for one, two in zip(draw(1), draw(2), strict=True))


def test_data_splits_of_libraries_stay() -> None:
    """`random_state=0` splits the same data in every trial, so that runs are compared on the same data."""
    outside = train_test_split(list(range(30)), random_state=0)
    with shift_seeds(shift_of(1)):
        assert train_test_split(list(range(30)), random_state=0) == outside


def test_seeds_of_other_kinds_stay() -> None:
    """A sequence, a string and a bit generator are no number to add to."""
    with shift_seeds(shift_of(1)):
        inside = np.random.default_rng([1, 2]).random(), random.Random("a").random()
        assert np.random.default_rng(np.random.PCG64(5)).random() == np.random.Generator(np.random.PCG64(5)).random()
    assert inside == (np.random.default_rng([1, 2]).random(), random.Random("a").random())


def test_classes_keep_their_meaning() -> None:
    """Generators made before and inside pass the usual checks by type; a class of the user's keeps its own."""
    before = np.random.RandomState(0), torch.Generator(), random.Random(0)
    with shift_seeds(shift_of(1)):

        class Mine(random.Random):
            pass

        for generator in (before[0], np.random.RandomState(0)):
            assert isinstance(generator, np.random.RandomState)
        for generator in (before[1], torch.Generator(), torch.default_generator):
            assert isinstance(generator, torch.Generator)
        for generator in (before[2], random.Random(0), Mine(0)):
            assert isinstance(generator, random.Random)
        assert not isinstance(before[2], Mine)
        state = np.random.RandomState(0)
        copy = pickle.loads(pickle.dumps(state))  # noqa: S301  our own bytes
        assert copy.rand() == state.rand()


def test_everything_is_put_back() -> None:
    """After the block the functions and classes are the ones from before, also when it raises."""

    def names() -> list[object]:
        there = [torch.manual_seed, torch.random.manual_seed, torch.cuda.manual_seed, torch.cuda.manual_seed_all]
        return [*there, torch.Generator, np.random.seed, np.random.RandomState, np.random.default_rng, random.seed]

    before = names()
    with shift_seeds(1):
        assert all(new is not old for new, old in zip(names(), before, strict=True))
    with pytest.raises(ValueError, match="invalid literal"), shift_seeds(1):
        torch.manual_seed("no number")  # type: ignore[arg-type]
    assert all(new is old for new, old in zip(names(), before, strict=True))


def test_shifts_of_many_seeds_stay_apart() -> None:
    """Among the first thousand seeds no two shifts are closer than a million: small seeds plus a shift never meet."""
    shifts = sorted(shift_of(seed) for seed in range(1000))
    assert min(b - a for a, b in pairwise(shifts)) > 1_000_000
