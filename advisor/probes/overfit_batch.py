"""Can the network learn sixteen samples by heart? One that cannot has a fault in its wiring or far too little capacity.

A copy with the initial weights is trained on the same sixteen samples with the user's optimizer and rate, then with ten
times and a hundred times the rate where that did not do, until the loss is a twentieth of the first, for 300 steps at
most each: up to 900 training steps on a small batch.

Result, `probe.overfit_batch`:

    first, last   loss before and after, of the best of the tried rates
    steps         that it took
    lr            the rate of it
    fitted        the last loss is below a twentieth of the first
    samples       in the batch

References:
Ben Braiek, Khomh: Testing Feedforward Neural Networks Training Programs, 2023 (TheDeepChecker): 16 samples, 1,000
steps, at most 5 % of them in the wrong class. arXiv 2204.00694.
Karpathy: A Recipe for Training Neural Networks, 2019, "overfit one batch". https://karpathy.github.io/2019/04/25/recipe/
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.utils._pytree import tree_map

from advisor.probes import Batch, Subject, Weights
from advisor.probes._batches import has_rows
from advisor.record import Json

weights: Weights = "initial"

SAMPLES = 16  # TheDeepChecker's number
STEPS = 300  # with three rates about its 1,000
FACTORS = (1.0, 10.0, 100.0)  # on the user's rate: whether it can learn is asked here, not whether its rate is right
FITTED = 0.05  # of the first loss: a convention, beside TheDeepChecker's 5 % of the samples in the wrong class


def run(subject: Subject) -> dict[str, Json]:
    """See the module's docstring; empty where no batch has one row a sample."""
    batch = next((_part(b) for b in subject.batches if b.target is not None and has_rows(b)), None)
    if batch is None:
        return {}
    best: dict[str, Json] = {}
    for factor in FACTORS:
        tried = _train(subject, batch, factor)
        if not best or float(str(tried["last"])) < float(str(best["last"])):
            best = tried
        if best["fitted"]:
            break
    return best if best and math.isfinite(float(str(best["last"]))) else {}


def _train(subject: Subject, batch: Batch, factor: float) -> dict[str, Json]:
    net = subject.fresh_model()
    optimizer = subject.optimizer(net)
    for group in optimizer.param_groups:
        group["lr"] = float(group["lr"]) * factor
    first = last = math.inf
    step = 0
    for step in range(STEPS + 1):
        optimizer.zero_grad()
        loss = subject.loss(net(*batch.args, **batch.kwargs), batch)
        value = float(loss.detach())
        first = value if step == 0 else first
        last = min(last, value) if math.isfinite(value) else last
        if not math.isfinite(value) or last <= FITTED * first or not loss.requires_grad:
            break
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    lr = max(float(group["lr"]) for group in optimizer.param_groups)
    return {
        "first": first,
        "last": last,
        "steps": step,
        "lr": lr,
        "fitted": last <= FITTED * first,
        "samples": batch.size,
    }


def _part(batch: Batch) -> Batch:
    def cut(leaf: object) -> object:
        return leaf[:SAMPLES] if isinstance(leaf, Tensor) else leaf

    args, kwargs, target = tree_map(cut, (batch.args, batch.kwargs, batch.target))
    return Batch(args, kwargs, target)
