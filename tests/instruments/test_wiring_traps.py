"""Loops that look wired wrongly and are not: no rule on wiring calls any of them a problem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from watched import every_step, usual, watched  # noqa: F401  a fixture

from advisor.evidence import Evidence
from advisor.record import Record
from advisor.rulebook import load_rules

pytestmark = pytest.mark.usefixtures("every_step")
WIRING = (
    "excessive_clipping",
    "frozen_parameters",
    "gradients_cleared_before_step",
    "graph_kept_alive",
    "missing_zero_grad",
    "no_training_steps",
    "parameters_not_optimized",
    "parameters_without_gradient",
    "training_in_eval_mode",
    "unregistered_parameters",
    "validating_in_train_mode",
)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2))


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), 0.1)


def adversarial() -> Record:
    """The gradient of the input comes by a backward pass that leaves gradients in the parameters, too."""
    model = network()
    optimizer = sgd(model)

    def step(x: Tensor, y: Tensor) -> None:
        x = x.clone().requires_grad_()
        functional.cross_entropy(model(x), y).backward()
        assert x.grad is not None
        usual(model, optimizer)((x + 0.1 * x.grad.sign()).detach(), y)

    return watched(model, optimizer, step)


def momentum_encoder() -> Record:
    """Keys come from a copy that is moved by hand, requires gradients, and is in no optimizer."""

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key = nn.Linear(4, 8), nn.Linear(4, 8)

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                for one, other in zip(self.query.parameters(), self.key.parameters(), strict=True):
                    other.mul_(0.9).add_(one, alpha=0.1)
                keys = functional.normalize(self.key(x), dim=1)
            return functional.normalize(self.query(x), dim=1) @ keys.T

    model = Pair()
    optimizer = torch.optim.SGD(model.query.parameters(), 0.1)
    return watched(model, optimizer, lambda x, _: usual(model, optimizer)(x, torch.arange(len(x))))


def only_the_generator() -> Record:
    """Its loss goes through a critic that `watch` does not know and another optimizer trains."""
    model, critic = nn.Linear(4, 4), nn.Linear(4, 1)
    optimizer, other = sgd(model), sgd(critic)

    def step(x: Tensor, _: Tensor) -> None:
        other.zero_grad()
        (functional.softplus(-critic(x)).mean() + functional.softplus(critic(model(x).detach())).mean()).backward()
        other.step()
        optimizer.zero_grad()
        functional.softplus(-critic(model(x))).mean().backward()
        optimizer.step()

    return watched(model, optimizer, step)


def five_critic_steps_to_one() -> Record:
    """Two optimizers of which one steps five times as often."""
    model = nn.ModuleDict({"generator": nn.Linear(4, 4), "critic": nn.Linear(4, 1)})
    second, first = sgd(model["generator"]), sgd(model["critic"])
    steps: list[int] = []

    def step(x: Tensor, _: Tensor) -> None:
        generator, critic = model["generator"], model["critic"]
        first.zero_grad()
        (critic(generator(x).detach()) - critic(x)).mean().backward()
        first.step()
        steps.append(1)
        if len(steps) % 5 == 0:
            second.zero_grad()
            (-critic(generator(x)).mean()).backward()
            second.step()

    return watched(model, [second, first], step, epochs=5)


def sharpness_aware() -> Record:
    """Two backward passes a step, the first one's gradients cleared in between."""
    model = network()
    optimizer = sgd(model)

    def step(x: Tensor, y: Tensor) -> None:
        functional.cross_entropy(model(x), y).backward()
        with torch.no_grad():
            moves = [0.05 * p.grad for p in model.parameters()]
            torch._foreach_add_(list(model.parameters()), moves)
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        with torch.no_grad():
            torch._foreach_sub_(list(model.parameters()), moves)
        optimizer.step()
        optimizer.zero_grad()

    return watched(model, optimizer, step)


def gradients_by_hand() -> Record:
    """torch.autograd.grad, and nobody calls backward."""
    model = network()
    optimizer = sgd(model)

    def step(x: Tensor, y: Tensor) -> None:
        parameters = list(model.parameters())
        grads = torch.autograd.grad(functional.cross_entropy(model(x), y), parameters)
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad
        optimizer.step()

    return watched(model, optimizer, step)


def steps_within_backward() -> Record:
    """One optimizer a parameter, which steps and clears as soon as the gradient is there."""
    model = network()
    optimizers = {p: torch.optim.SGD([p], 0.1) for p in model.parameters()}

    def hook(parameter: Tensor) -> None:
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    for parameter in optimizers:
        parameter.register_post_accumulate_grad_hook(hook)
    return watched(
        model, list(optimizers.values()), lambda x, y: functional.cross_entropy(model(x), y).backward(), epochs=2
    )


def low_rank_adapter() -> Record:
    """A frozen base with moved biases, and two small matrices of which one begins at zero."""

    class Adapted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base = network().requires_grad_(False)
            for parameter in self.base.parameters():
                parameter += 0.5 * torch.rand_like(parameter)
            self.down, self.up = nn.Parameter(torch.randn(4, 2)), nn.Parameter(torch.zeros(2, 2))

        def forward(self, x: Tensor) -> Tensor:
            return self.base(x) + x @ self.down @ self.up

    model = Adapted()
    optimizer = torch.optim.Adam([model.down, model.up], 1e-4)
    return watched(model, optimizer, usual(model, optimizer))


def derivative_of_the_input() -> Record:
    """A differential equation: the points, held by the model, require gradients, and the graph is of second order."""
    model: Any = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    model.points = torch.rand(16, 1, requires_grad=True)
    optimizer = sgd(model)

    def step(*_: Tensor) -> None:
        (slope,) = torch.autograd.grad(model(model.points).sum(), model.points, create_graph=True)
        optimizer.zero_grad()
        functional.mse_loss(slope, torch.cos(model.points)).backward()
        optimizer.step()

    return watched(model, optimizer, step)


def meta_learning() -> Record:
    """The loss is of weights that were computed from the parameters."""
    model = network()
    optimizer = sgd(model)

    def step(x: Tensor, y: Tensor) -> None:
        names, parameters = zip(*model.named_parameters(), strict=True)
        grads = torch.autograd.grad(functional.cross_entropy(model(x[:4]), y[:4]), parameters, create_graph=True)
        fast = {n: p - 0.1 * g for n, p, g in zip(names, parameters, grads, strict=True)}
        optimizer.zero_grad()
        functional.cross_entropy(torch.func.functional_call(model, fast, (x[4:],)), y[4:]).backward()
        optimizer.step()

    return watched(model, optimizer, step)


def one_step_an_epoch() -> Record:
    """All micro-batches are accumulated."""
    model = network()
    optimizer = sgd(model)
    return watched(
        model,
        optimizer,
        lambda x, y: (functional.cross_entropy(model(x), y) / 6).backward(),
        epochs=6,
        begin=optimizer.zero_grad,
        end=optimizer.step,
    )


TRAPS = (
    adversarial,
    momentum_encoder,
    only_the_generator,
    five_critic_steps_to_one,
    sharpness_aware,
    gradients_by_hand,
    steps_within_backward,
    low_rank_adapter,
    derivative_of_the_input,
    meta_learning,
    one_step_an_epoch,
)


@pytest.mark.parametrize("loop", TRAPS, ids=lambda loop: loop.__name__)
def test_a_legal_loop_is_not_accused(loop: Callable[[], Record]) -> None:
    """Nothing above a note, and no rule crashes."""
    run = Evidence(loop())
    outcomes = [load_rules()[name].run(run) for name in WIRING]
    assert [o.rule for o in outcomes if o.finding is not None and o.finding.severity == "problem"] == []
    assert [o.error for o in outcomes if o.result == "crashed"] == []
