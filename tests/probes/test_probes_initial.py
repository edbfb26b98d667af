"""Probes that train copies, on networks that can learn and on some that cannot."""

from __future__ import annotations

import math

import pytest
import torch
from subjects import batch, subject
from torch import Tensor, nn

from advisor.probes import run_probe


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def data() -> tuple[Tensor, Tensor]:
    return torch.randn(40, 6), torch.randint(0, 3, (40,))


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 3))


def test_a_network_learns_sixteen_samples_by_heart() -> None:
    """The loss falls to a twentieth, and the user's model is not changed."""
    x, y = data()
    model = network()
    before = [p.clone() for p in model.parameters()]
    found = run_probe("overfit_batch", subject(model, [batch(x, y)], lr=0.5))
    assert (found["fitted"], found["samples"], found["lr"]) == (True, 16, 0.5)
    assert float(str(found["last"])) <= 0.05 * float(str(found["first"]))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_rate_that_is_too_low_is_not_held_against_the_network() -> None:
    """A hundred times the user's rate is tried before it is said that it cannot learn."""
    x, y = data()
    found = run_probe("overfit_batch", subject(network(), [batch(x, y)], lr=0.005))
    assert (found["fitted"], found["lr"]) == (True, pytest.approx(0.5))


def test_a_network_without_a_gradient_does_not_learn() -> None:
    """A detached output: the loss stays where it was."""

    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, x: Tensor) -> Tensor:
            output: Tensor = self.net(x)
            return output.detach()

    x, y = data()
    found = run_probe("overfit_batch", subject(Cut(), [batch(x, y)]))
    assert found["fitted"] is False
    assert found["last"] == found["first"]


def test_the_initial_loss_of_equal_logits_is_ln_c() -> None:
    """A network of zeros over three classes: ln 3 to rounding, and outputs that do not differ."""
    x, y = data()
    model = nn.Linear(6, 3)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    found = run_probe("initial_loss", subject(model, [batch(x, y)]))
    assert found["loss"] == pytest.approx(math.log(3), rel=1e-6)
    assert found["spread"] == 0.0
