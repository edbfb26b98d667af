"""over_regularised where the data push as hard as the decay, so that the weights keep their length."""

from __future__ import annotations

import numpy as np
import pytest
from constructed import GUESS, fired, made, result

from advisor.evidence import Evidence
from advisor.record import Json


def held(step: float, *, kind: str = "AdamW", decay: float = 5.0, fit: float = 0.4, momentum: float = 0.9) -> Evidence:
    """A hundred steps at a rate of 0.01, which decay alone would shrink to e^-5; each is `step` of the weights."""
    group: Json = {"class": kind, "lr": 0.01, "weight_decay": decay, "momentum": momentum}
    return made(
        train_loss=[2.0] * 10,
        epoch_lr=[0.01] * 10,
        weight_norm=np.ones((100, 1)),
        grad_norm=np.ones((100, 1)),
        update_ratio=np.full((100, 1), step),
        clean_train_accuracy=[0.1, fit],
        facts={**GUESS, "optimizer": [group]},
    )


def test_a_step_no_longer_than_the_decay() -> None:
    """0.01 · 5 = 0.05 of the weights are taken in a step of 0.05: as much is put back, and nothing else happens."""
    finding = fired("over_regularised", held(0.05))
    assert finding.numbers[0].value == pytest.approx(1.0)
    assert finding.numbers[1].value == pytest.approx(5.0)


@pytest.mark.parametrize(
    "run",
    [held(0.3), held(0.05, fit=0.9), held(0.05, fit=0.11), held(0.005, decay=0.5), held(0.05, kind="Adam")],
    ids=["random steps: √(2 · 0.05)", "it fits", "nothing learnt", "too weak", "divided by its own length"],
)
def test_a_decay_that_leaves_room(run: Evidence) -> None:
    """Where random steps and decay balance, a step is six times what the decay takes."""
    assert result("over_regularised", run) == "clear"


def test_momentum_adds_the_decay_up() -> None:
    """Under a momentum of 0.9 ten times the decay of one step is taken: 0.15 in a step of 0.2."""
    assert result("over_regularised", held(0.2, kind="SGD", decay=1.5)) == "fired"
    assert result("over_regularised", held(0.2, kind="SGD", decay=1.5, momentum=0.0)) == "clear"
