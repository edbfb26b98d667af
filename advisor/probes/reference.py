"""What do these data allow? The score of a plain reference on the captured samples, each predicted from the others.

Two references that need no training: the nearest neighbours, and ridge regression with a Gaussian kernel, whose
leave-one-out predictions have a closed form. A network that has seen all the data should fit them better than a
reference predicts samples it has not seen; where neither does, the noise may be in the data. No pass of the model; some
10 ms.

Result, `probe.reference`:

    score     the better one's leave-one-out score: accuracy, or R²
    chance    what the most frequent class would score; 0 for numbers
    samples   looked at
    gain      of the score from half of the samples to all of them: does the reference want more data?
    error     standard error of the gain, over samples

References:
Cover, Hart: Nearest Neighbor Pattern Classification, 1967: at most twice the error of the best possible rule, with
enough samples. https://doi.org/10.1109/TIT.1967.1053964
Rifkin, Lippert: Notes on Regularized Least Squares, 2007: leave-one-out predictions in closed form.
https://dspace.mit.edu/handle/1721.1/37318
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from advisor.probes import Subject, Weights
from advisor.probes._batches import table
from advisor.record import Json

weights: Weights = "none"
Reference = Callable[[Tensor, Tensor], Tensor]  # squared distances (N, N), targets (N, K) -> leave-one-out predictions

FEWEST = 32  # samples: with fewer, half of them say nothing
SPLITS = 4  # into halves: each sample is predicted from four different halves
MOST = 256  # the time grows with the cube; the standard error of an accuracy is 0.03
MOST_CLASSES = 50  # of so few samples more classes have too few members each
NEIGHBOURS = 5  # scikit-learn's default
RIDGES = (1e-2, 1e-1, 1.0)  # the kernel has ones on its diagonal: little, some and much smoothing


def run(subject: Subject) -> dict[str, Json]:
    """See the module's docstring; empty where inputs are not one tensor of numbers, or targets not one a sample."""
    known = table(subject.batches)
    if known is None:
        return {}
    x, y = known[0][:MOST].float(), known[1][:MOST]
    if len(x) < FEWEST or not bool(torch.isfinite(x).all() and torch.isfinite(y).all()):
        return {}
    numbers = y.is_floating_point() and len(torch.unique(y)) > 2
    wanted = _columns(y, numbers=numbers)
    if wanted is None:
        return {}
    squares = _distances(x)
    references: list[Reference] = [_neighbours, *(partial(_ridge, ridge=ridge) for ridge in RIDGES)]
    points = [_points(reference(squares, wanted), wanted, numbers=numbers) for reference in references]
    best = max(range(len(points)), key=lambda i: float(points[i].mean()))
    gains = points[best] - _from_halves(references[best], squares, wanted, numbers=numbers)
    return {
        "score": float(points[best].mean()),
        "chance": 0.0 if numbers else float(wanted.mean(0).max()),
        "samples": len(x),
        "gain": float(gains.mean()),
        "error": float(gains.std() / math.sqrt(len(gains))),
    }


def _from_halves(reference: Reference, squares: Tensor, wanted: Tensor, *, numbers: bool) -> Tensor:
    """(N,) each sample's points where it is predicted from half of the others, a mean over several halves."""
    total = wanted.new_zeros(len(wanted))
    spread = ((wanted - wanted.mean(0)) ** 2).mean()
    for _ in range(SPLITS):
        for half in torch.randperm(len(wanted), device=wanted.device).chunk(2):
            prediction = reference(squares[half][:, half], wanted[half])
            total[half] += _points(prediction, wanted[half], numbers=numbers, spread=spread)
    return total / SPLITS


def _columns(y: Tensor, *, numbers: bool) -> Tensor | None:
    """(N, K) one column a class, or the one column of numbers; None where there are too many classes or only one."""
    if numbers:
        return y.float().unsqueeze(1)
    classes, members = torch.unique(y, return_inverse=True)
    if not 2 <= len(classes) <= MOST_CLASSES:
        return None
    return torch.nn.functional.one_hot(members).float()


def _distances(x: Tensor) -> Tensor:
    """(N, N) squared distances between samples, every column standardised."""
    spread = x.std(0)
    scaled = (x - x.mean(0)) / torch.where(spread > 0, spread, torch.ones_like(spread))
    return torch.cdist(scaled, scaled) ** 2


def _neighbours(squares: Tensor, wanted: Tensor) -> Tensor:
    """(N, K) the mean of the nearest others."""
    others = squares + torch.diag(torch.full_like(squares[0], torch.inf))
    nearest = others.topk(NEIGHBOURS, largest=False).indices
    return wanted[nearest].mean(1)


def _ridge(squares: Tensor, wanted: Tensor, *, ridge: float) -> Tensor:
    """(N, K) leave-one-out predictions: y - (G⁻¹ y) / diag(G⁻¹) with G = K + λ I."""
    kernel = torch.exp(-squares / squares.median().clamp_min(torch.finfo(squares.dtype).tiny))
    eye = torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(kernel + ridge * eye))
    return wanted - (inverse @ (wanted - wanted.mean(0))) / inverse.diagonal().unsqueeze(1)


def _points(prediction: Tensor, wanted: Tensor, *, numbers: bool, spread: Tensor | None = None) -> Tensor:
    """(N,) what each sample adds to the mean that is the score: right or wrong, or 1 - its squared error / variance."""
    if numbers:
        variance = ((wanted - wanted.mean(0)) ** 2).mean() if spread is None else spread
        return 1 - ((wanted - prediction) ** 2).squeeze(1) / variance
    return (prediction.argmax(1) == wanted.argmax(1)).float()
