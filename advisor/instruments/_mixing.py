"""Batches -> how well they mix what they are made of, against random batches of the same size from the same whole."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FEWEST = 4  # batches: of fewer the whole is not known
MOST_TERMS = 1_000_000  # of the exact expectation; beyond, its first-order correction

Values = NDArray[np.float64]


def mixing_of_classes(counts: Values) -> float | None:
    """Mean entropy of the batches over its expectation for random ones; None where it cannot be told.

    counts: (batches, classes). 1 is random, 0 is one class a batch, more than 1 is a sampler that balances.
    """
    sizes = counts.sum(1)
    whole = counts.sum(0)
    if len(counts) < FEWEST or sizes.min() < 2 or (whole > 0).sum() < 2:
        return None
    shares = counts / sizes[:, None]
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(1).mean()
    expected = expected_entropy(whole / whole.sum(), int(np.median(sizes)))
    return float(entropy / expected) if expected > 0 else None


def mixing_of_values(batches: Values) -> float | None:
    """Mean variance within the batches over its expectation for random ones; None where it cannot be told.

    batches: (batches, 3) size, mean, variance. A random batch of n has (n - 1) / n of the variance of the whole.
    """
    sizes, means, variances = batches.T
    if len(batches) < FEWEST or sizes.min() < 2 or not np.isfinite(batches).all():
        return None
    weights = sizes / sizes.sum()
    centre = float(weights @ means)
    within = float(weights @ variances)
    whole = within + float(weights @ (means - centre) ** 2)
    expected = whole * float(weights @ ((sizes - 1) / sizes))
    return within / expected if expected > 0 else None


def expected_entropy(shares: Values, size: int) -> float:
    """Mean entropy, in nats, of the class shares in `size` independent draws.

    >>> round(expected_entropy(np.array([0.5, 0.5]), 2) / math.log(2), 6)
    0.5
    """
    shares = shares[shares > 0]
    if len(shares) * size > MOST_TERMS:  # Miller and Madow, 1955
        return float(max(0.0, -(shares * np.log(shares)).sum() - (len(shares) - 1) / (2 * size)))
    k = np.arange(1, size)  # 0 and all of them have no entropy
    log_choose = np.array([math.lgamma(size + 1) - math.lgamma(j + 1) - math.lgamma(size - j + 1) for j in k])
    rest = np.log1p(-np.minimum(shares, 1 - 1e-15))  # 1e-15: one class alone
    terms = np.exp(log_choose + np.outer(np.log(shares), k) + np.outer(rest, size - k))
    return float(-(terms @ (k / size * np.log(k / size))).sum())
