"""Does one column of the inputs give the target away? How much of the target's variance each single one explains.

No pass of the model: only the captured batches are looked at. For classes it is the correlation ratio, the
variance between the classes' means over the whole one, for numbers the squared correlation; both 1 where the column
alone determines the target.

Result, `probe.single_feature`:

    explained   of the best column, in [0, 1]
    second      of the next best one
    column      its index
    columns     that there are
    samples     looked at

References:
Kaufman et al.: Leakage in Data Mining: Formulation, Detection, and Avoidance, 2012: exploratory data analysis as a tool
to identify leakage. https://doi.org/10.1145/2382577.2382579
"""

from __future__ import annotations

import torch
from torch import Tensor

from advisor.probes import Subject, Weights
from advisor.probes._batches import table
from advisor.record import Json

weights: Weights = "none"

FEWEST = 100  # samples: the correlation of 100 independent pairs stays below 0.2 in 95 %
MOST_CLASSES = 100  # of so few samples more classes have no mean each
MOST_COLUMNS = 20_000  # an image of 80 x 80 colours; of more, one pixel is no feature


def run(subject: Subject) -> dict[str, Json]:
    """See the module's docstring; empty where inputs are not one table of numbers, or targets not one a sample."""
    known = table(subject.batches)
    if known is None or len(known[0]) < FEWEST or not 2 <= known[0].shape[1] <= MOST_COLUMNS:
        return {}
    x, y = known[0].double(), known[1]
    share = _correlation(x, y.double()) if y.is_floating_point() and len(torch.unique(y)) > 2 else _ratio(x, y)
    if share is None:
        return {}
    best = share.topk(2)
    return {
        "explained": float(best.values[0]),
        "second": float(best.values[1]),
        "column": int(best.indices[0]),
        "columns": x.shape[1],
        "samples": x.shape[0],
    }


def _correlation(x: Tensor, y: Tensor) -> Tensor:
    """(F,) squared correlation of each column with the target; 0 for a constant."""
    x, y = x - x.mean(0), y - y.mean()
    return torch.nan_to_num((x.T @ y) ** 2 / ((x**2).sum(0) * (y**2).sum()))


def _ratio(x: Tensor, y: Tensor) -> Tensor | None:
    """(F,) variance between the classes' means over the whole variance; 0 for a constant."""
    classes, members = torch.unique(y, return_inverse=True)
    if not 2 <= classes.numel() <= MOST_CLASSES:
        return None
    counts = torch.bincount(members).double()
    sums = torch.zeros(classes.numel(), x.shape[1], dtype=x.dtype, device=x.device).index_add_(0, members, x)
    means = sums / counts[:, None]
    between = (counts[:, None] * (means - x.mean(0)) ** 2).sum(0)
    return torch.nan_to_num(between / ((x - x.mean(0)) ** 2).sum(0))
