"""batch_norm: where it is grafted, what it computes, and that its weights are trained."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sessions import Cnn, diagnosis_of, drive, images, mlp, record_with, same_losses, session_of, table
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.remedies import batch_norm
from advisor.remedies.batch_norm import Parameters


def grafts(model: nn.Module) -> dict[str, type[nn.Module]]:
    return {
        name.removesuffix(".advisor_batch_norm"): type(part)
        for name, part in model.named_modules()
        if name.endswith("advisor_batch_norm")
    }


@pytest.mark.parametrize("example", [True, False])
def test_hidden_layers_only(example: bool) -> None:
    """Every layer but the one that gives the output is normalised, by the kind for its axes."""
    dense, convolutional = session_of(mlp(), table()), session_of(Cnn(), images())
    if not example:
        dense._example = convolutional._example = None
    batch_norm.apply(dense, Parameters())
    batch_norm.apply(convolutional, Parameters())
    assert grafts(dense.model) == {"0": nn.BatchNorm1d, "2": nn.BatchNorm1d}
    assert grafts(convolutional.model) == {"one": nn.BatchNorm2d, "two": nn.BatchNorm2d}


def test_before_the_activation() -> None:
    """In train mode what a layer gives has mean 0 and standard deviation 1 over the batch."""
    session = session_of(mlp(), table())
    batch_norm.apply(session, Parameters())
    assert isinstance(session.model, nn.Sequential)
    hidden = session.model.train()[0](table()[0])
    assert torch.allclose(hidden.mean(0), torch.zeros(8), atol=1e-6)
    assert torch.allclose(hidden.std(0, correction=0), torch.ones(8), atol=1e-3)


def test_same_run_as_with_the_layer_written_in() -> None:
    """Training is bit for bit that of the model with nn.BatchNorm1d between the layers."""
    torch.manual_seed(0)
    grafted = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    torch.manual_seed(0)
    written = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    one = session_of(grafted, table(), torch.optim.Adam(grafted.parameters()))
    two = session_of(written, table(), torch.optim.Adam(written.parameters()))
    batch_norm.apply(one, Parameters())
    assert same_losses(one, two)


def test_weights_join_the_group_of_their_layer() -> None:
    """The norm's weights go to the param_group of the layer's weight, with its name where the group has names."""
    model = mlp()
    optimizer = torch.optim.SGD(
        [{"params": list(model[0].named_parameters()), "lr": 0.1}, {"params": list(model[2:].named_parameters())}],
        lr=0.2,
    )
    session = session_of(model, table(), optimizer)
    batch_norm.apply(session, Parameters())
    first, second = optimizer.param_groups
    norm: Any = model[0].get_submodule("advisor_batch_norm")
    assert [p is q for p, q in zip(first["params"][-2:], (norm.weight, norm.bias), strict=True)] == [True, True]
    assert first["param_names"][-2:] == ["0.advisor_batch_norm.weight", "0.advisor_batch_norm.bias"]
    assert len(second["params"]) == 4 + 2
    drive(session)
    assert not torch.equal(norm.weight, torch.ones(8))


def test_dtype_of_the_layer() -> None:
    """The norm has the layer's dtype."""
    model = mlp().double()
    session = session_of(model, (table()[0].double(), table()[1]))
    batch_norm.apply(session, Parameters())
    assert {p.dtype for p in model.parameters()} == {torch.float64}


def test_rest_of_one_sample() -> None:
    """A last batch of one sample neither raises nor moves the running statistics."""
    session = session_of(mlp(), table(9))  # batches of 8 and 1
    batch_norm.apply(session, Parameters())
    norm: Any = session.model.get_submodule("0.advisor_batch_norm")
    session.model.train()(table()[0])
    before = norm.running_mean.clone()
    assert session.model(table()[0][:1]).isfinite().all()
    assert torch.equal(before, norm.running_mean)
    drive(session)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(8), nn.LayerNorm(8), nn.GroupNorm(2, 8), nn.RMSNorm(8)])
def test_model_that_normalises(norm: nn.Module) -> None:
    """A model with a norm of any kind is refused, by the layer's name."""
    model = nn.Sequential(nn.Linear(6, 8), norm, nn.ReLU(), nn.Linear(8, 3))
    with pytest.raises(CannotApply, match=r"already normalises \(1\)"):
        batch_norm.apply(session_of(model, table()), Parameters())


def test_batches_of_one_sample() -> None:
    """A loader with batch_size=1 is refused."""
    with pytest.raises(CannotApply, match="one sample has no spread"):
        batch_norm.apply(session_of(mlp(), table(), batch_size=1), Parameters())


def test_frozen_shared_and_sequence_layers_are_left_alone() -> None:
    """A frozen layer, a layer called twice and a Linear over sequences get no norm."""

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen = nn.Linear(6, 8).requires_grad_(False)
            self.twice, self.steps, self.fits, self.out = (nn.Linear(8, 8) for _ in range(4))

        def forward(self, x: Tensor) -> Tensor:
            x = self.twice(self.twice(self.frozen(x).relu()).relu())
            x = self.steps(x.unsqueeze(1).expand(-1, 2, -1)).relu().mean(1)
            logits: Tensor = self.out(self.fits(x).relu())
            return logits

    session = session_of(Mixed(), table())
    batch_norm.apply(session, Parameters())
    assert grafts(session.model) == {"fits": nn.BatchNorm1d}


def test_lazy_layers() -> None:
    """Layers whose shape is not known yet are refused, and are still lazy afterwards."""
    model = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3))
    session = session_of(mlp(), table())
    session.model = model
    with pytest.raises(CannotApply, match="lazy layers"):
        batch_norm.apply(session, Parameters())
    assert nn.parameter.is_lazy(model[0].weight)


def test_candidates() -> None:
    """One choice; none for a model that normalises, or for batches too small to have a variance."""
    assert batch_norm.candidates(diagnosis_of(), Evidence(record_with(batch_size=8))) == [Parameters()]
    assert batch_norm.candidates(diagnosis_of(), Evidence(record_with(batch_size=7))) == []
    assert batch_norm.candidates(diagnosis_of(), Evidence(record_with(normalisation=True))) == []
