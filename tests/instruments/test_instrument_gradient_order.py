"""leftover_gradient and kept_gradient: who clears gradients, and when, as loops really do it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from watched import STEPS, every_step, usual, values, watched  # noqa: F401  a fixture

from advisor.instruments.gradient_order import _scale_of

pytestmark = pytest.mark.usefixtures("every_step")
Optimizer = torch.optim.Optimizer


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(model(x), y)


def after_the_step(model: nn.Module, optimizer: Optimizer) -> Callable[[Tensor, Tensor], None]:
    def step(x: Tensor, y: Tensor) -> None:
        loss(model, x, y).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def to_zero(model: nn.Module, optimizer: Optimizer) -> Callable[[Tensor, Tensor], None]:
    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad(set_to_none=False)
        loss(model, x, y).backward()
        optimizer.step()

    return step


def by_hand(model: nn.Module, optimizer: Optimizer) -> Callable[[Tensor, Tensor], None]:
    def step(x: Tensor, y: Tensor) -> None:
        for parameter in model.parameters():
            parameter.grad = None
        loss(model, x, y).backward()
        optimizer.step()

    return step


def accumulating(model: nn.Module, optimizer: Optimizer) -> Callable[[Tensor, Tensor], None]:
    batches = []

    def step(x: Tensor, y: Tensor) -> None:
        (loss(model, x, y) / 3).backward()
        batches.append(x)
        if len(batches) % 3 == 0:
            optimizer.step()
            optimizer.zero_grad()

    return step


def two_losses(model: nn.Module, optimizer: Optimizer) -> Callable[[Tensor, Tensor], None]:
    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        loss(model, x, y).backward()
        (0.1 * loss(model, -x, y)).backward()
        optimizer.step()

    return step


@pytest.mark.parametrize("kind", [usual, after_the_step, to_zero, by_hand, accumulating, two_losses])
def test_what_is_cleared_leaves_nothing(kind: Callable[..., Callable[[Tensor, Tensor], None]]) -> None:
    """Wherever a legal loop clears its gradients, nothing is left over, and the optimizer gets what backward gave."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    record = watched(model, optimizer, kind(model, optimizer))
    assert set(values(record, "leftover_gradient")) == {0.0}
    assert values(record, "kept_gradient") == pytest.approx([1.0] * len(values(record, "kept_gradient")))


def test_what_is_never_cleared_is_left_over() -> None:
    """Nothing at the first step, and about as much as the whole gradient at all others."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)

    def step(x: Tensor, y: Tensor) -> None:
        loss(model, x, y).backward()
        optimizer.step()

    first, *others = values(watched(model, optimizer, step), "leftover_gradient")
    assert first == 0.0
    assert len(others) == 2 * STEPS - 1
    assert min(others) > 0.1


def test_what_is_cleared_too_late_is_gone_at_the_step() -> None:
    """zero_grad between backward and step."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def step(x: Tensor, y: Tensor) -> None:
        loss(model, x, y).backward()
        optimizer.zero_grad()
        optimizer.step()

    record = watched(model, optimizer, step)
    assert set(values(record, "kept_gradient")) == {0.0}
    assert set(values(record, "leftover_gradient")) == {0.0}


def test_clipping_shows_as_what_it_leaves() -> None:
    """The ratio is max_norm over the norm that clip_grad_norm_ returns; all parameters are read here."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    norms: list[float] = []

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        loss(model, x, y).backward()
        norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), 1e-2)))
        optimizer.step()

    kept = values(watched(model, optimizer, step), "kept_gradient")
    assert kept == pytest.approx([1e-2 / norm for norm in norms], rel=1e-3)


def test_a_grad_scaler_is_no_clipping() -> None:
    """Gradients are 65,536 times as large after backward, and unscaled at the step."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scaler = torch.amp.GradScaler("cpu")

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        scaler.scale(loss(model, x, y)).backward()
        scaler.step(optimizer)
        scaler.update()

    record = watched(model, optimizer, step)
    assert values(record, "kept_gradient") == pytest.approx([1.0] * 2 * STEPS, rel=1e-5)
    assert set(values(record, "leftover_gradient")) == {0.0}


def test_an_infinite_gradient_says_nothing() -> None:
    """A scale of 2^127 overflows the norm after backward, and not what the optimizer gets."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        scaler.scale(loss(model, x, y)).backward()
        scaler.step(optimizer)
        scaler.update()

    assert 0.0 not in values(watched(model, optimizer, step), "kept_gradient")


def test_one_of_two_optimizers_that_gets_nothing_is_not_covered_by_the_other() -> None:
    """The head's gradients are cleared too late, the body's are not."""
    body, head = nn.Linear(4, 8), nn.Linear(8, 2)
    model = nn.Sequential(body, nn.ReLU(), head)
    first = torch.optim.SGD(body.parameters(), 0.1)
    second = torch.optim.SGD(head.parameters(), 0.1)

    def step(x: Tensor, y: Tensor) -> None:
        first.zero_grad()
        loss(model, x, y).backward()
        second.zero_grad()
        first.step()
        second.step()

    assert set(values(watched(model, [first, second], step), "kept_gradient")) == {0.0}


def test_two_networks_in_turn_clear_their_own() -> None:
    """A generator's old gradients are still there in the discriminator's backward pass, and gone in its own."""
    generator, critic = nn.Linear(4, 4), nn.Linear(4, 1)
    model = nn.ModuleList([generator, critic])
    first = torch.optim.SGD(critic.parameters(), 0.1)
    second = torch.optim.SGD(generator.parameters(), 0.1)

    def step(x: Tensor, _: Tensor) -> None:
        first.zero_grad()
        (critic(generator(x).detach()) - critic(x)).mean().backward()
        first.step()
        second.zero_grad()
        (-critic(generator(x)).mean()).backward()
        second.step()

    record = watched(model, [first, second], step)
    assert set(values(record, "leftover_gradient")) == {0.0}
    assert values(record, "kept_gradient") == pytest.approx([1.0] * len(values(record, "kept_gradient")))


def test_a_closure_is_not_asked_what_happens_before_it() -> None:
    """LBFGS runs its backward passes inside the step: nothing is left over, and nothing is known of clipping."""
    model = network()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)

    def step(x: Tensor, y: Tensor) -> None:
        def closure() -> Tensor:
            optimizer.zero_grad()
            value = loss(model, x, y)
            value.backward()
            return value

        optimizer.step(closure)

    record = watched(model, optimizer, step)
    assert set(values(record, "leftover_gradient")) == {0.0}
    assert "kept_gradient" not in record.series


def test_only_a_power_of_two_above_one_is_a_scale() -> None:
    """0.3, 2.0 as a number of the loop's own, and a weight that is learnt: only the second is taken for a scaler."""
    value = torch.ones((), requires_grad=True)
    assert _scale_of(value * torch.tensor(0.3)) == 1.0
    assert _scale_of(value * torch.tensor(1024.0)) == 1024.0
    assert _scale_of(value * torch.ones((), requires_grad=True)) is None
    assert _scale_of(value + 1) is None
