"""Does the model use its inputs? A few samples of two batches, and zeros in their place.

Where no output moves, the network answers the same whatever it sees: units died, or the input is lost on the way. Two
forward passes over eight samples, twice.

Result, `probe.zeroed_inputs`:

    loss, zeroed  mean loss of these samples in eval mode with the real inputs and with zeros
    moved         largest change of an output, as a share of the largest output
    ignored       nothing moved beyond rounding

References:
Karpathy: A Recipe for Training Neural Networks, 2019, "input-independent baseline". https://karpathy.github.io/2019/04/25/recipe/
Ben Braiek, Khomh: Testing Feedforward Neural Networks Training Programs, 2023 (TheDeepChecker). arXiv 2204.00694.
"""

from __future__ import annotations

import numpy as np
import torch

from advisor.probes import Subject, Weights
from advisor.probes._batches import few, has_rows, outputs, tensors, with_rows
from advisor.record import Json

weights: Weights = "current"

MOST = 2  # batches: what moves in none of so many samples moves in hardly any
UNMOVED = 1e-5  # of the largest output: float32 rounds to 1e-7, and a sum of a hundred terms to 1e-6
UNMOVED_HALF = 2e-2  # likewise for 16 bits: bfloat16 rounds to 4e-3


def run(subject: Subject) -> dict[str, Json]:
    """See the module's docstring; empty where an input is an index (of tokens, of edges), for which zero is a value."""
    batches = [few(b) for b in subject.batches[:MOST] if has_rows(b) and all(map(torch.is_floating_point, tensors(b)))]
    real, zeroed, moved, unmoved = list[float](), list[float](), 0.0, UNMOVED
    for batch in batches:
        if batch.target is None:
            continue
        answers = subject.answer(batch), subject.answer(with_rows(batch, torch.zeros_like))
        real.append(float(subject.loss(answers[0], batch)))
        zeroed.append(float(subject.loss(answers[1], batch)))
        for before, after in zip(*map(outputs, answers), strict=True):
            if before.shape == after.shape and before.numel():
                largest = before.float().abs().max().clamp_min(torch.finfo(torch.float32).tiny)
                moved = max(moved, float((after.float() - before.float()).abs().max() / largest))
                unmoved = unmoved if before.dtype.itemsize > 2 else UNMOVED_HALF
    if not real or not np.isfinite([*real, *zeroed, moved]).all():
        return {}
    return {"loss": float(np.mean(real)), "zeroed": float(np.mean(zeroed)), "moved": moved, "ignored": moved <= unmoved}
