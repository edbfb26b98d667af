"""How often each class occurs, and what a loss weighs it with -> whether the weights are the wrong way round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

ARGUMENTS = {  # function of torch's -> the argument that weighs classes
    "binary_cross_entropy_with_logits": "pos_weight",
    "cross_entropy": "weight",
    "nll_loss": "weight",
}
CLOSE = 0.1  # of a share: counts are of the batches that were read (a convention)
UNEVEN = 2.0  # the largest over the smallest, of counts or of weights: below, they hardly differ (a convention)


def goes_with_counts(weights: Sequence[float], counts: ArrayLike) -> bool:
    """Whether a class weighs the more the more often it occurs, without exception, and both are uneven.

    That is a rank correlation of 1. Classes that do not occur have no say.

    >>> goes_with_counts([0.1, 0.9], [10, 90]), goes_with_counts([0.9, 0.1], [10, 90])
    (True, False)
    """
    given, often = np.asarray(weights, np.float64), np.asarray(counts, np.float64)
    if given.shape != often.shape or not np.isfinite(given).all():
        return False
    given, often = given[often > 0], often[often > 0]
    if len(often) < 2 or any(values.max() < UNEVEN * values.min() for values in (given, often)):
        return False
    return bool(np.array_equal(_ranks(given), _ranks(often)))


def are_shares(weights: Sequence[float], counts: ArrayLike) -> bool:
    """Whether weights are the classes' shares themselves, or the counts, where their inverse would be meant.

    >>> are_shares([0.5, 1.5], [25, 75]), are_shares([0.5, 1.0], [25, 75])
    (True, False)
    """
    given, often = np.asarray(weights, np.float64), np.asarray(counts, np.float64)
    return goes_with_counts(weights, counts) and np.allclose(
        given / given.sum(), often / often.sum(), rtol=CLOSE, atol=0
    )


def _ranks(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Equal values share one."""
    return np.unique(values, return_inverse=True)[1]
