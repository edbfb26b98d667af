"""A loop that differentiates with `torch.func`: what runs inside a transformation is left alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import advisor


def trained(*, watched: bool) -> tuple[Tensor, advisor.Record | None]:
    """The weights after two epochs on gradients of single samples, as private training computes them."""
    torch.manual_seed(0)
    x = torch.randn(40, 3)
    y = (x[:, 0] > 0).long()
    train, model = DataLoader(TensorDataset(x, y), 10), nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def one(weights: dict[str, Tensor], sample: Tensor, label: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(model, weights, (sample[None],)), label[None])

    watch = advisor.watch(range(2), model, optimizer, train=train, report=False)
    for _ in watch if watched else range(2):
        for xb, yb in train:
            weights = {name: p.detach() for name, p in model.named_parameters()}
            each = vmap(grad(one), (None, 0, 0))(weights, xb, yb)
            for name, parameter in model.named_parameters():
                parameter.grad = each[name].mean(0)
            optimizer.step()
    return model.weight.detach(), watch.record if watched else None


def test_gradients_of_single_samples_are_taken_as_without_watching() -> None:
    """The loss runs inside `vmap` of `grad`: its value may not leave it, and the loop goes on bit for bit."""
    plain, _ = trained(watched=False)
    seen, record = trained(watched=True)
    assert torch.equal(seen, plain)
    assert record is not None
    assert record.problems == ()
    assert "train_loss" not in record.series
    assert record.epochs["epoch_lr"].to_numpy() == pytest.approx([0.1, 0.1])
