"""hidden_parameters: what the loss depends on and the model does not list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from watched import every_step, usual, watched  # noqa: F401  a fixture

pytestmark = pytest.mark.usefixtures("every_step")


class Holder:
    """A plain object that owns a layer."""

    def __init__(self) -> None:
        self.inner = nn.Linear(4, 4)


class Hides(nn.Module):
    """Runs what it holds, and a head of its own."""

    def __init__(self, held: Any, run: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.held, self.run, self.head = held, run, nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.run(self.held, x))


@pytest.mark.parametrize(
    ("held", "run", "name"),
    [
        ([nn.Linear(4, 4)], lambda held, x: held[0](x), "held[0]"),
        ({"a": nn.Linear(4, 4)}, lambda held, x: held["a"](x), "held['a']"),
        (Holder(), lambda held, x: held.inner(x), "held.inner"),
        ([[nn.Linear(4, 4)]], lambda held, x: checkpoint(held[0][0], x, use_reentrant=False), "held[0][0]"),
    ],
    ids=["list", "dict", "object", "checkpointed"],
)
def test_a_layer_in_an_attribute_is_found_by_its_name(held: Any, run: Any, name: str) -> None:
    """4 x 4 weights and 4 biases, that look as they were made."""
    model = Hides(held, run)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    facts = watched(model, optimizer, usual(model, optimizer)).facts
    assert (facts["hidden_parameters"], facts["hidden_fresh"]) == ({name: 20}, [name])


def test_a_layer_that_the_optimizer_has_is_trained() -> None:
    """In a plain list, but handed over by hand: it learns, and that is what counts here."""
    model = Hides([nn.Linear(4, 4)], lambda held, x: held[0](x))
    optimizer = torch.optim.SGD([*model.parameters(), *model.held[0].parameters()], 0.1)
    assert watched(model, optimizer, usual(model, optimizer)).facts["hidden_parameters"] == {}


def test_a_layer_that_another_optimizer_moves_is_not_reported() -> None:
    """`watch` was given one of two."""
    model = Hides([nn.Linear(4, 4)], lambda held, x: held[0](x))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    other = torch.optim.SGD(model.held[0].parameters(), 0.1)

    def step(x: Tensor, y: Tensor) -> None:
        usual(model, optimizer)(x, y)
        other.step()

    assert watched(model, optimizer, step).facts["hidden_parameters"] == {}


def test_a_trained_teacher_in_a_list_is_not_fresh() -> None:
    """Its biases have moved from where the constructor left them."""
    teacher = nn.Linear(4, 4)
    with torch.no_grad():
        teacher.bias += 1.0
    model = Hides([teacher], lambda held, x: held[0](x))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    facts = watched(model, optimizer, usual(model, optimizer)).facts
    assert (facts["hidden_parameters"], facts["hidden_fresh"]) == ({"held[0]": 20}, [])


def test_inputs_and_other_networks_are_nobodys_hidden_layers() -> None:
    """An adversarial input that requires a gradient, and a critic whose graph the loss goes through."""
    model, critic = nn.Linear(4, 2), nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        functional.cross_entropy(critic(model(x.clone().requires_grad_())), y).backward()
        optimizer.step()

    assert watched(model, optimizer, step).facts["hidden_parameters"] == {}
