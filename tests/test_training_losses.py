"""What a loop's first losses say of its task."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import advisor
from advisor.training_losses import _is_mask


class Own(nn.Module):
    """A loss that the loop wrote itself."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return 1 - 2 * (output * target).sum() / (output.sum() + target.sum())


@pytest.mark.parametrize(("targets", "task"), [([0.0, 1.0], None), ([0.0, 0.5], "regression")], ids=["mask", "numbers"])
def test_an_own_loss_over_zeros_and_ones_has_no_score(targets: list[float], task: str | None) -> None:
    """Whether its outputs are logits or probabilities is not known: an R² of them would mean nothing."""
    model = nn.Sequential(nn.Linear(3, 1), nn.Sigmoid())
    optimizer, loss_fn = torch.optim.SGD(model.parameters(), 0.1), Own()
    loop = advisor.watch(range(2), model, optimizer, loss_fn, report=False)
    for _ in loop:
        optimizer.zero_grad()
        loss_fn(model(torch.ones(2, 3)), torch.tensor(targets)[:, None]).backward()
        optimizer.step()
    assert task == loop.record.info.task
    assert (task == "regression") == ("clean_train_r2" in loop.record)


def test_a_device_is_not_waited_for() -> None:
    """Only what lies in the CPU's memory is looked at; a meta tensor has no values, and asking for one raises."""
    assert _is_mask(torch.tensor([0.0, 1.0]))
    assert not _is_mask(torch.zeros(2, device="meta"))
