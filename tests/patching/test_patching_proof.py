"""Two runs are the same training, or the first difference is named."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from advisor.patching.declined import Declined
from advisor.patching.proof import TOLERANCE, Proof, compare
from advisor.record import Record, RunInfo, Series


def record(train: Sequence[float], val: Sequence[float] = (), steps: int = 10) -> Record:
    """Losses by epoch; the last step is `steps`."""
    found = {"train_loss": series("train_loss", train, steps)}
    return Record(RunInfo(), found | ({"val_loss": series("val_loss", val, steps)} if val else {}))


def series(name: str, values: Sequence[float], steps: int) -> Series:
    epochs = np.arange(len(values))
    phase = "train" if name == "train_loss" else "val"
    return Series(name, phase, ("",), epochs * 0 + steps, epochs, np.array(values, dtype=np.float32)[:, None])  # type: ignore[arg-type]


def test_equal_losses_are_a_proof() -> None:
    """Bit for bit, NaN and infinity among them."""
    losses = [1.0, math.inf, math.nan]
    found = compare(record(losses, losses), record(losses, losses))
    assert found == Proof(3, 0.0)
    assert str(found) == "the same in all 3 epochs, bit for bit"


def test_sums_may_round_in_another_order() -> None:
    """Within the tolerance the largest relative difference is said."""
    found = compare(record([1.0, 2.0]), record([1.0, 2.0 * (1 + TOLERANCE / 2)]))
    assert found.epochs == 2
    assert found.difference == pytest.approx(TOLERANCE / 2, rel=0.01)
    assert str(found) == "the same in all 2 epochs, to 5e-05"


@pytest.mark.parametrize(
    ("patched", "reason"),
    [
        (record([1.0, 2.1], [1.0]), "not proven: train_loss of epoch 2 is 2 with the plan and 2.1 with the patch"),
        (record([1.0, 2.0], [1.5]), "not proven: val_loss of epoch 1 is 1 with the plan and 1.5 with the patch"),
        (record([1.0, math.nan], [1.0]), "not proven: train_loss of epoch 2 is 2 with the plan and nan with the patch"),
        (record([1.0], [1.0]), "not proven: 2 epochs with the plan, 1 with the patch"),
        (record([1.0, 2.0], [1.0], steps=11), "not proven: 10 steps with the plan, 11 with the patch"),
        (Record(RunInfo()), "not proven: the run recorded no training loss"),
    ],
)
def test_the_first_difference_is_named(patched: Record, reason: str) -> None:
    """Another loss, another length, or none."""
    with pytest.raises(Declined) as declined:
        compare(record([1.0, 2.0], [1.0]), patched)
    assert declined.value.reason == reason
