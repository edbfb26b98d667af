"""training_subset: which samples come, how many, in which order, and whose random numbers are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from orders import Numbers, drawn, session_over
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset

from advisor.errors import CannotApply
from advisor.remedies import training_subset
from advisor.remedies.training_subset import Parameters

ALWAYS = True  # what it cannot reach it says in the record


def test_repeat_keeps_the_number_of_steps() -> None:
    """A fifth of 100 samples: 20 different ones, five times each, in as many batches as before."""
    loader = DataLoader(Numbers(), batch_size=16, shuffle=True)
    training_subset.apply(session_over(loader), Parameters(fraction=0.2))
    assert len(loader) == len(list(loader)) == 7
    found = drawn(loader)
    assert len(set(found)) == 20
    assert {found.count(index) for index in found} == {5}


def test_without_repeat_there_are_fewer_steps() -> None:
    """20 different samples, once each, in two batches."""
    loader = DataLoader(Numbers(), batch_size=16, shuffle=True)
    training_subset.apply(session_over(loader), Parameters(fraction=0.2, repeat=False))
    found = drawn(loader)
    assert len(found) == len(set(found)) == 20
    assert len(loader) == 2


def test_same_samples_in_every_epoch_in_another_order() -> None:
    """The user's shuffle goes on working over the subset."""
    loader = DataLoader(Numbers(), batch_size=16, shuffle=True)
    training_subset.apply(session_over(loader), Parameters(fraction=0.2))
    one, two = drawn(loader), drawn(loader)
    assert set(one) == set(two)
    assert one != two


def test_shares_of_a_seed_are_nested() -> None:
    """A smaller share is part of a larger one; another seed gives other samples."""

    def kept(**parameters: Any) -> set[int]:
        loader = DataLoader(Numbers(), batch_size=16)
        training_subset.apply(session_over(loader), Parameters(**parameters))
        return set(drawn(loader))

    assert kept(fraction=0.1) < kept(fraction=0.3) < kept(fraction=0.6)
    assert kept(fraction=0.3) == kept(fraction=0.3)
    assert kept(fraction=0.3, seed=1) != kept(fraction=0.3)


def test_users_random_numbers_are_those_of_the_full_run() -> None:
    """After an epoch the global generator is where it would have been."""

    def state_after(*, subset: bool) -> Tensor:
        loader = DataLoader(Numbers(), batch_size=16, shuffle=True)
        session = session_over(loader)
        torch.manual_seed(0)
        if subset:
            training_subset.apply(session, Parameters(fraction=0.2))
        drawn(loader)
        return torch.get_rng_state()

    assert torch.equal(state_after(subset=False), state_after(subset=True))


def test_loader_is_still_the_users() -> None:
    """It is the same object, refuses to be changed as before, and its sampler answers to set_epoch."""
    sampler = DistributedSampler(Numbers(), num_replicas=2, rank=0, shuffle=True)
    loader = DataLoader(Numbers(), batch_size=10, sampler=sampler)
    session = session_over(loader)
    training_subset.apply(session, Parameters(fraction=0.2))
    assert session.train is loader
    loader.sampler.set_epoch(3)
    assert sampler.epoch == 3
    assert len(drawn(loader)) == 50
    with pytest.raises(ValueError, match="should not be set after"):
        loader.sampler = sampler
    with pytest.raises(AttributeError, match="no_such"):
        _ = loader.sampler.no_such


def test_loader_without_batches() -> None:
    """A loader with batch_size=None gives single samples of the subset."""
    loader = DataLoader(Numbers(), batch_size=None, shuffle=True)
    training_subset.apply(session_over(loader), Parameters(fraction=0.2))
    assert len({int(index) for index in loader}) == 20


class Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(10))


class Drawer:
    """A batch sampler of the user's own."""

    def __iter__(self) -> Iterator[list[int]]:
        return iter([[0, 1]])


def test_refused() -> None:
    """No loader, a stream, a batch sampler of the user's own, and a share that is none or all."""
    refused: dict[str, DataLoader[Any] | None] = {
        "not known; pass train=": None,
        "IterableDataset has no indices": DataLoader(Stream()),
        "Drawer draws its own batches": DataLoader(Numbers(), batch_sampler=Drawer()),
        "0.001 of 100 samples is none or all": DataLoader(Numbers()),
    }
    for reason, loader in refused.items():
        with pytest.raises(CannotApply, match=reason):
            training_subset.apply(session_over(loader), Parameters(fraction=0.001))
