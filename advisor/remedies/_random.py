"""A remedy's name -> a generator of its own, fixed by the run's seed: no random number of the user's is drawn."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_of(name: str) -> int:
    """From the run's seed, and from the name: neither the script nor another remedy makes the same draws of it."""
    return (torch.initial_seed() + zlib.crc32(name.encode())) % 2**63  # the largest seed that a generator takes


def own_generator(name: str) -> torch.Generator:
    """On the CPU: what it draws is the same whatever device the batches are on."""
    return torch.Generator().manual_seed(seed_of(name))


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Inside, what draws from torch's global generator on the CPU draws from this one; the user's is as it was."""
    users = torch.get_rng_state()
    torch.set_rng_state(generator.get_state())
    try:
        yield
    finally:
        generator.set_state(torch.get_rng_state())
        torch.set_rng_state(users)
