"""Changes of single calls: what is found in a forward pass, and that no mode outlives the loop."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from sessions import images, session_of, table
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack

import advisor
from advisor.plan import Plan
from advisor.remedies._calls import calls_of

ON = Plan.of("safe_sqrt")


class Spelt(nn.Module):
    """One activation of each spelling, then a softmax that is scaled."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm, self.two = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.one(x))
        x = x * x.sigmoid()
        x = F.relu(x) if self.training else F.gelu(x)
        return 3 * torch.softmax(self.two(x), dim=-1)[:, :2]


def test_calls_and_their_places() -> None:
    """Names, order, gates, what the model ends in and what stands behind it, for train and eval mode."""
    found = calls_of(session_of(Spelt(), table()))
    sigmoid, relu, softmax = found[True]
    assert ["sigmoid", "gelu", "softmax"] == [call.name for call in found[False]]
    assert (sigmoid.key, sigmoid.gate, sigmoid.last) == (("sigmoid", 0), True, None)
    assert (relu.key, relu.gate, relu.last) == (("relu", 0), False, None)
    assert (softmax.key, softmax.last, softmax.behind) == (("softmax", 0), 0, ("Mul",))
    assert (softmax.shape, softmax.dim, softmax.rows) == ((8, 3), 1, True)


def test_looking_leaves_nothing_behind() -> None:
    """Running averages, modes, gradients and the random state are as they were, after a pass in train mode too."""
    model = Spelt()
    model.norm.eval()
    session = session_of(model, table())
    before, random = {key: value.clone() for key, value in model.state_dict().items()}, torch.get_rng_state()
    calls_of(session)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert (model.training, model.norm.training) == (True, False)
    assert torch.equal(random, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_foreign_example_tells_nothing() -> None:
    """Inputs that the model cannot take as they are, since the loop reshapes them, are no error."""
    session = session_of(nn.Sequential(nn.Linear(64, 3), nn.Softmax(1)), images())
    assert {} == calls_of(session)


def a_break(watch: advisor.watching.Watch[int], _: Callable[[], None]) -> None:
    for _epoch in watch:
        break


def an_error(watch: advisor.watching.Watch[int], fail: Callable[[], None]) -> None:
    with pytest.raises(ZeroDivisionError, match="in the loop"):  # noqa: PT012  the loop is what is tested
        for _epoch in watch:
            fail()


def the_end(watch: advisor.watching.Watch[int], _: Callable[[], None]) -> None:
    for _epoch in watch:
        pass


@pytest.mark.parametrize("leave", [a_break, an_error, the_end])
def test_no_mode_outlives_the_loop(leave: Callable[..., None]) -> None:
    """Inside an epoch a mode is on; after the loop, however it ends, none is."""
    model = nn.Sequential(nn.Linear(6, 3))
    watch = advisor.watch(range(2), model, torch.optim.SGD(model.parameters(), lr=0.1), plan=ON, report=False)

    def fail() -> None:
        assert len(_get_current_function_mode_stack()) == 1
        raise ZeroDivisionError("in the loop")

    leave(watch, fail)
    assert [] == _get_current_function_mode_stack()


def test_ctrl_c_inside_a_forward() -> None:
    """torch calls no hook where a forward ends by Ctrl-C; after the loop no mode is on all the same."""

    class Pressed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.pressed = nn.Linear(6, 3), False

        def forward(self, x: Tensor) -> Tensor:
            if self.pressed:
                raise KeyboardInterrupt("pressed")
            scores: Tensor = self.one(x).sqrt()
            return scores

    model = Pressed()
    watch = advisor.watch(range(2), model, torch.optim.SGD(model.parameters(), lr=0.1), plan=ON, report=False)
    with pytest.raises(KeyboardInterrupt, match="pressed"):  # noqa: PT012  the loop is what is tested
        for _ in watch:
            model.pressed = True
            model(table()[0])
    assert [] == _get_current_function_mode_stack()
