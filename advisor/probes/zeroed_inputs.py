"""Does the model use its inputs? The loss with every input replaced by zeros, against the loss with the real ones.

Where the two are alike, the network answers the same whatever it sees. A forward pass over up to four batches, twice.

Result, `probe.zeroed_inputs`:

    loss, zeroed  mean loss in eval mode with the real inputs and with zeros
    error         standard error of the difference, over batches; 0 for one batch
    moved         largest change of an output, as a multiple of the outputs' standard deviation over samples

References:
Karpathy: A Recipe for Training Neural Networks, 2019, "input-independent baseline". https://karpathy.github.io/2019/04/25/recipe/
Ben Braiek, Khomh: Testing Feedforward Neural Networks Training Programs, 2023 (TheDeepChecker). arXiv 2204.00694.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from advisor.probes import Subject, Weights
from advisor.probes._batches import outputs, tensors, with_rows
from advisor.record import Json

weights: Weights = "current"

MOST = 4  # batches: a difference that is worth naming shows in any of them


def run(subject: Subject) -> dict[str, Json]:
    """See the module's docstring; empty where an input is an index (of tokens, of edges), for which zero is a value."""
    batches = [
        b for b in subject.batches[:MOST] if b.target is not None and all(t.is_floating_point() for t in tensors(b))
    ]
    real, zeroed, moved = [], [], 0.0
    for batch in batches:
        empty = with_rows(batch, torch.zeros_like)
        answers = subject.answer(batch), subject.answer(empty)
        real.append(float(subject.loss(answers[0], batch)))
        zeroed.append(float(subject.loss(answers[1], batch)))
        for before, after in zip(*map(outputs, answers), strict=True):
            if before.shape == after.shape and before.numel() > 1:
                spread = before.float().std().clamp_min(torch.finfo(torch.float32).tiny)
                moved = max(moved, float((after - before).abs().max() / spread))
    if not real or not np.isfinite([*real, *zeroed, moved]).all():
        return {}
    rise = np.array(zeroed) - np.array(real)
    error = float(rise.std(ddof=1) / math.sqrt(len(rise))) if len(rise) > 1 else 0.0
    return {"loss": float(np.mean(real)), "zeroed": float(np.mean(zeroed)), "error": error, "moved": moved}
