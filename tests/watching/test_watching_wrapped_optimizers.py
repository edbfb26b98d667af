"""An optimizer behind a wrapper is heard by its own steps, whatever the wrapper is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim import SGD, Optimizer

import advisor
from advisor.describing import optimizers_in


class Uninitialised(Optimizer):
    """Lookahead as it is passed around: an optimizer by its class, that never ran torch's `__init__`."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.param_groups = optimizer.param_groups

    def step(self, closure: Any = None) -> Any:
        return self.optimizer.step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none)


class Initialised(Optimizer):
    """Sharpness-aware minimisation as it is passed around: `step` is never called, the inner one's is."""

    def __init__(self, parameters: Iterable[nn.Parameter], rate: float) -> None:
        super().__init__(parameters, {"lr": rate})
        self.inner = SGD(self.param_groups, lr=rate)

    def second_step(self) -> None:
        self.inner.step()


class WarmUp:
    """No optimizer at all, but it acts like one."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def step(self) -> None:
        self.optimizer.step()

    def zero_grad(self) -> None:
        self.optimizer.zero_grad()


class Several:
    """Two optimizers, and what a loop over it gives is no optimizer."""

    def __init__(self, *optimizers: Optimizer) -> None:
        self.optimizers = optimizers

    def __iter__(self) -> Iterator[str]:
        return iter(("first", "second"))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(3, 1)


def steps_seen(model: nn.Module, given: Any, step: Any) -> int:
    """The steps in the record of three epochs of one step."""
    x, y = torch.randn(8, 3), torch.randn(8, 1)
    watched = advisor.watch(range(3), model, given, report=False)
    for _ in watched:
        model.zero_grad()
        functional.mse_loss(model(x), y).backward()
        step()
    assert watched.record.problems == ()
    return len(watched.record.series["update_ratio"].steps)


def test_a_wrapper_that_never_ran_the_init_of_torch_is_heard_by_what_it_holds(model: nn.Module) -> None:
    """It has no hooks of its own to set."""
    wrapper = Uninitialised(SGD(model.parameters(), lr=0.1))
    assert steps_seen(model, wrapper, wrapper.step) == 3


def test_a_wrapper_whose_step_is_never_called_is_heard_by_what_it_holds(model: nn.Module) -> None:
    """Sharpness-aware minimisation steps twice by names of its own."""
    wrapper = Initialised(model.parameters(), 0.1)
    assert steps_seen(model, wrapper, wrapper.second_step) == 3


def test_what_only_acts_like_an_optimizer_is_heard_by_what_it_holds(model: nn.Module) -> None:
    """A warm-up of the user's own is no `Optimizer`, and cannot be looped over."""
    wrapper = WarmUp(SGD(model.parameters(), lr=0.1))
    assert steps_seen(model, wrapper, wrapper.step) == 3


def test_wrappers_in_wrappers_and_in_lists_are_opened(model: nn.Module) -> None:
    """What is left are the optimizers that change parameters, each once, in order."""
    one, two, three = (SGD(model.parameters(), lr=0.1) for _ in range(3))
    assert optimizers_in([WarmUp(Uninitialised(one)), two]) == [one, two]
    assert optimizers_in(Several(two, three)) == [two, three]
    assert optimizers_in(iter([one, three])) == [one, three]


def test_an_optimizer_that_holds_one_for_other_parameters_stands_for_itself(model: nn.Module) -> None:
    """An optimizer may keep another for a part of the work: its own step is what changes the rest."""
    whole = SGD(model.parameters(), lr=0.1)
    whole.auxiliary = SGD([model.bias], lr=0.1)  # type: ignore[attr-defined]
    assert optimizers_in(whole) == [whole]


def test_wrappers_that_hold_each_other_are_no_endless_loop(model: nn.Module) -> None:
    """A back reference is not followed."""
    inner = SGD(model.parameters(), lr=0.1)
    inner.wrapper = Uninitialised(inner)  # type: ignore[attr-defined]
    assert optimizers_in(inner.wrapper) == [inner]


def test_an_optimizer_that_cannot_be_heard_is_refused_with_the_reason(model: nn.Module) -> None:
    """Before the first epoch, and not by an error of torch's within the loop."""
    silent = Uninitialised.__new__(Uninitialised)
    silent.param_groups = [{"params": list(model.parameters()), "lr": 0.1}]
    with pytest.raises(advisor.AdvisorError, match="Uninitialised was never initialised as an optimizer of torch's"):
        advisor.watch(range(1), model, silent)
