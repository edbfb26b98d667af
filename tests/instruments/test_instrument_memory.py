"""kept_graphs: what a loop holds of past steps, and what it lets go."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any
from weakref import ref

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from watched import STEPS, every_step, loader, watched  # noqa: F401  a fixture

import advisor
from advisor.losses import loss_call
from advisor.record import Record
from advisor.training_losses import MOST_PENDING

pytestmark = pytest.mark.usefixtures("every_step")


def held(keep: Callable[[Tensor, Tensor], Any], **hooks: Callable[[], object]) -> list[list[float]]:
    """(looked at, held) of each epoch, of a loop that keeps something of each loss and output."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        output = model(x)
        loss = functional.cross_entropy(output, y)
        loss.backward()
        optimizer.step()
        keep(loss, output)

    record: Record = watched(model, optimizer, step, **hooks)
    rows: list[list[float]] = record.series["kept_graphs"].values.tolist()
    return rows


LOOKED_AT = STEPS - 3  # the last three may be held


@pytest.mark.parametrize("which", [0, 1], ids=["loss", "output"])
def test_a_list_of_tensors_holds_all_graphs(which: int) -> None:
    """Of losses, or of outputs, whose nodes are a little further down."""
    kept: list[Tensor] = []
    assert held(lambda *both: kept.append(both[which])) == [[LOOKED_AT, LOOKED_AT]] * 2


def test_a_running_sum_of_losses_holds_all_graphs() -> None:
    """`total += loss`, begun anew in each epoch."""
    totals = [torch.zeros(())]

    def add(loss: Tensor, _: Tensor) -> None:
        totals[0] = totals[0] + loss

    assert held(add, begin=lambda: totals.__setitem__(0, torch.zeros(()))) == [[LOOKED_AT, LOOKED_AT]] * 2


@pytest.mark.parametrize("detached", [lambda t: t.item(), lambda t: t.detach(), lambda t: t.data])
def test_numbers_hold_nothing(detached: Callable[[Tensor], Any]) -> None:
    """A list of numbers, or of detached tensors."""
    kept: list[Any] = []
    assert held(lambda loss, _: kept.append(detached(loss))) == [[LOOKED_AT, 0]] * 2


def test_the_last_loss_may_be_held() -> None:
    """A variable that outlives the loop body, and a window of three."""
    window: list[Tensor] = []

    def slide(loss: Tensor, _: Tensor) -> None:
        window.append(loss)
        del window[:-3]

    assert held(slide) == [[LOOKED_AT, 0]] * 2


def test_memory_is_a_number_of_bytes() -> None:
    """The process takes some, and no accelerator is used."""
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    record = watched(model, optimizer, lambda x, y: functional.cross_entropy(model(x), y).backward())
    process, device = record.series["memory"].values[0]
    assert process > 2**20
    assert device == (torch.cuda.memory_allocated() if torch.cuda.is_available() else 0)


def test_losses_without_a_backward_pass_are_not_kept_by_us() -> None:
    """A loop that only computes losses: of their graphs, no more than those of one long backward pass live on."""
    model, train = nn.Linear(4, 2), loader()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    values = []
    for _ in advisor.watch(range(20), model, optimizer, train=train, report=False):
        for x, y in train:
            values.append(ref(functional.cross_entropy(model(x), y)))
        gc.collect()
        assert sum(value() is not None for value in values) <= MOST_PENDING
    assert len(values) > MOST_PENDING


def test_arguments_that_belong_to_one_batch_are_let_go() -> None:
    """The variances of a Gaussian likelihood come from the model: with them its graph would stay."""
    output, target = torch.zeros(8, 1), torch.ones(8, 1)
    variance = torch.ones(8, 1, requires_grad=True) * 2
    value = functional.gaussian_nll_loss(output, target, variance)
    call = loss_call("gaussian_nll_loss", functional.gaussian_nll_loss, (output, target, variance), {}, value)
    kept = ref(variance)
    del variance, value
    assert call is not None
    assert (kept(), call.again(output, target)) == (None, None)
