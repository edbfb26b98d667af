"""Facts about data -> a run of ten classes that learned all there was, unless it is said otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
from constructed import made

from advisor.evidence import Evidence

LEARNT = np.array([0.5, 0.9, 0.95, 0.97, 0.97, 0.97])
CHANCE = np.full(6, 0.1)
FALLING = np.array([2.0, 1.0, 0.5, 0.3, 0.2, 0.2])


def run(facts: dict[str, Any], **series: Any) -> Evidence:
    """Ten classes, six epochs; training and validation as good as can be unless it is said otherwise."""
    usual = {"train_loss": FALLING, "val_loss": FALLING, "clean_train_loss": FALLING}
    scores = {"clean_train_accuracy": LEARNT, "val_accuracy": LEARNT}
    whole = {"chance_score": 0.1, "classes": 10, "val_samples": 1000, "loss": "cross_entropy", **facts}
    return made(facts=whole, **{**usual, **scores, **series})
