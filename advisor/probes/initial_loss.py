"""Is the loss before the first step what guessing gives? For a cross entropy over C classes that is ln C.

One forward pass over the captured batches with the initial weights, in eval mode.

Result, `probe.initial_loss`:

    loss      mean over the batches
    spread    standard deviation of the outputs over samples and units: logits far apart make a sure and wrong model

References:
Karpathy: A Recipe for Training Neural Networks, 2019, "verify loss @ init". https://karpathy.github.io/2019/04/25/recipe/
"""

from __future__ import annotations

import math

import torch

from advisor.probes import Subject, Weights
from advisor.probes._batches import outputs
from advisor.record import Json

weights: Weights = "initial"


@torch.no_grad()
def run(subject: Subject) -> dict[str, Json]:
    """See the module's docstring; empty where the loss is not finite."""
    fresh = subject.fresh_model().eval()
    losses, spreads = [], []
    for batch in subject.batches:
        answer = fresh(*batch.args, **batch.kwargs)
        losses.append(float(subject.loss(answer, batch)))
        spreads += [float(o.float().std()) for o in outputs(answer)[:1] if o.numel() > 1]
    mean = sum(losses) / len(losses) if losses else math.nan
    if not math.isfinite(mean):
        return {}
    return {"loss": mean, "spread": sum(spreads) / len(spreads) if spreads else None}
