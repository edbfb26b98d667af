"""Tensors (N, …) -> a 64-bit number a row that tells samples apart, on their device and without waiting for it.

The bits of a row, read as integers x[j], are hashed as sum(x[j] * k[j]) modulo 2**64 with odd k[j] (multiply-shift
hashing: Dietzfelbinger et al., A reliable randomized algorithm for the closest-pair problem, J. Algorithms 1997), and
mixed once more. Two different rows meet by chance about once in 2**33 pairs or less often.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

MOST_NUMBERS = 1024  # of a row, evenly spread: of two different images some of so many differ
GOLDEN, MIX = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9  # of SplitMix64 (Steele et al., 2014): constants, not tuned
AS_INTEGER = {torch.float64: torch.int64, torch.float32: torch.int32, torch.float16: torch.int16}
AS_INTEGER |= {torch.bfloat16: torch.int16}


def identities(leaves: Sequence[Tensor]) -> Tensor:
    """(N,) int64 from the input tensors of a batch."""
    total: Tensor | None = None
    for place, leaf in enumerate(leaves):
        bits = bits_of(leaf)
        keys = _keys(MOST_NUMBERS + 1, str(bits.device))
        part = (bits * keys[: bits.shape[1]]).sum(1) * keys[place % MOST_NUMBERS]
        total = part if total is None else total + part
    assert total is not None  # the caller has at least one leaf
    return mixed(total)


def bits_of(leaf: Tensor) -> Tensor:
    """(N, F) int64 with F <= `MOST_NUMBERS`: the numbers of each row by their bits."""
    rows = leaf.detach().reshape(leaf.shape[0], -1)
    if rows.is_complex():
        rows = torch.view_as_real(rows).reshape(leaf.shape[0], -1)
    rows = rows[:, :: -(-rows.shape[1] // MOST_NUMBERS) or 1]
    if rows.dtype in AS_INTEGER:
        rows = rows.contiguous().view(AS_INTEGER[rows.dtype])
    return rows.to(torch.int64)


def mixed(numbers: Tensor) -> Tensor:
    """Every bit of the result depends on every bit of a number: so that a sum over samples tells sets apart."""
    numbers = (numbers ^ (numbers >> 30)) * _signed(MIX)
    return numbers ^ (numbers >> 27)


@cache
def _keys(count: int, device: str) -> Tensor:
    """(count,) odd numbers, always the same."""
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(MIX)
    return torch.from_numpy(((z ^ (z >> np.uint64(27))) | np.uint64(1)).view(np.int64)).to(device)


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number
