"""more_epochs: the loop's length, and what becomes of a schedule that spans it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sessions import diagnosis_of, mlp, record_of, record_with, session_of, table
from torch.optim import SGD, Optimizer, lr_scheduler

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.remedies import more_epochs
from advisor.remedies.more_epochs import Parameters


def rates(optimizer: Optimizer, scheduler: Any, epochs: int) -> list[float]:
    found = []
    for _ in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_length() -> None:
    """factor multiplies, epochs sets, and the facts say from what to what."""
    session = session_of(mlp(), table(), epochs=8)
    more_epochs.apply(session, Parameters(factor=2.5))
    assert session.epochs == 20
    assert session.facts["remedy.more_epochs"] == {"before": 8, "after": 20, "stretched": []}
    shorter = session_of(mlp(), table(), epochs=8)
    more_epochs.apply(shorter, Parameters(epochs=3))
    assert shorter.epochs == 3


STRETCHED: dict[str, Callable[[Optimizer, int], Any]] = {
    "CosineAnnealingLR": lambda o, epochs: lr_scheduler.CosineAnnealingLR(o, epochs),
    "LinearLR": lambda o, epochs: lr_scheduler.LinearLR(o, 1.0, 0.1, total_iters=epochs),
    "PolynomialLR": lambda o, epochs: lr_scheduler.PolynomialLR(o, epochs),
    "OneCycleLR": lambda o, epochs: lr_scheduler.OneCycleLR(o, 0.5, total_steps=epochs),
    "MultiStepLR": lambda o, epochs: lr_scheduler.MultiStepLR(o, [epochs // 2, epochs * 3 // 4]),
}


@pytest.mark.parametrize("name", STRETCHED)
def test_schedule_is_that_of_the_longer_run(name: str) -> None:
    """A schedule built for 8 epochs and stretched to 16 is the one built for 16."""
    session = session_of(mlp(), table(), SGD(mlp().parameters(), lr=0.1, momentum=0.9), epochs=8)
    scheduler = STRETCHED[name](session.optimizers[0], 8)
    more_epochs.apply(session, Parameters(factor=2.0))
    assert session.facts["remedy.more_epochs"] == {"before": 8, "after": 16, "stretched": [name]}
    other = SGD(mlp().parameters(), lr=0.1, momentum=0.9)
    expected = rates(other, STRETCHED[name](other, 16), 16)
    assert rates(session.optimizers[0], scheduler, 16) == pytest.approx(expected)


def test_function_of_the_epoch_is_stretched() -> None:
    """A LambdaLR takes twice as long for each value."""
    session = session_of(mlp(), table(), epochs=4)
    scheduler = lr_scheduler.LambdaLR(session.optimizers[0], lambda epoch: 1 - epoch / 4)
    more_epochs.apply(session, Parameters(factor=2.0))
    assert rates(session.optimizers[0], scheduler, 8) == pytest.approx(
        [0.1, 0.1, 0.075, 0.075, 0.05, 0.05, 0.025, 0.025]
    )


@pytest.mark.parametrize("make", [lambda o: lr_scheduler.StepLR(o, 2), lambda o: lr_scheduler.CosineAnnealingLR(o, 3)])
def test_schedule_with_a_pace_of_its_own_is_left_alone(make: Callable[[Optimizer], Any]) -> None:
    """StepLR, and a cosine shorter than the run, go on as they were."""
    session = session_of(mlp(), table(), epochs=8)
    scheduler = make(session.optimizers[0])
    other = SGD(mlp().parameters(), lr=0.1)
    expected = rates(other, make(other), 16)
    more_epochs.apply(session, Parameters(factor=2.0))
    assert rates(session.optimizers[0], scheduler, 16) == pytest.approx(expected)


def test_schedule_that_cannot_be_stretched() -> None:
    """A chain of schedulers is refused by its class, and nothing is changed."""
    session = session_of(mlp(), table(), epochs=8)
    optimizer = session.optimizers[0]
    chain = lr_scheduler.SequentialLR(
        optimizer, [lr_scheduler.ConstantLR(optimizer), lr_scheduler.ExponentialLR(optimizer, 0.9)], [3]
    )
    with pytest.raises(CannotApply, match="SequentialLR, which cannot be stretched to 16 epochs"):
        more_epochs.apply(session, Parameters())
    assert session.epochs == 8
    assert chain.last_epoch == 0


def test_endless_and_unchanged() -> None:
    """A loop without an end and a length that is there already are refused."""
    with pytest.raises(CannotApply, match="endless"):
        more_epochs.apply(session_of(mlp(), table(), epochs=None), Parameters())
    with pytest.raises(CannotApply, match="has 8 epochs already"):
        more_epochs.apply(session_of(mlp(), table()), Parameters(epochs=8))


def test_took_effect_only_past_the_old_end() -> None:
    """A run that ended where it would have ended anyway shows no effect."""
    session = session_of(mlp(), table(), epochs=8)
    more_epochs.apply(session, Parameters(factor=2.0))
    assert more_epochs.took_effect(record_of(session, epochs_seen=9), Parameters())
    assert not more_epochs.took_effect(record_of(session, epochs_seen=8), Parameters())


def test_candidates() -> None:
    """Much longer first for a short run; none against overfitting or for an endless loop."""
    assert [c.factor for c in more_epochs.candidates(diagnosis_of(), Evidence(record_with(epochs=2)))] == [8, 3, 2]
    assert [c.factor for c in more_epochs.candidates(diagnosis_of(), Evidence(record_with(epochs=30)))] == [2, 4]
    assert more_epochs.candidates(diagnosis_of("overfitting"), Evidence(record_with())) == []
    assert more_epochs.candidates(diagnosis_of(), Evidence(record_with(epochs=None))) == []
