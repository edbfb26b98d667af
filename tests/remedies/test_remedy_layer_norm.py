"""layer_norm: where it is grafted, what it computes, and that the run is that of the layer written in."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from sessions import Cnn, diagnosis_of, drive, images, mlp, record_with, same_losses, session_of, table
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.remedies import layer_norm
from advisor.remedies.layer_norm import Parameters


def grafts(model: nn.Module) -> dict[str, type[nn.Module]]:
    suffix = ".advisor_layer_norm"
    return {name.removesuffix(suffix): type(part) for name, part in model.named_modules() if name.endswith(suffix)}


def test_same_run_as_with_the_layer_written_in() -> None:
    """Training is bit for bit that of the model with nn.LayerNorm between the layers."""
    torch.manual_seed(0)
    grafted = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    torch.manual_seed(0)
    written = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3))
    one = session_of(grafted, table(), torch.optim.Adam(grafted.parameters()))
    two = session_of(written, table(), torch.optim.Adam(written.parameters()))
    layer_norm.apply(one, Parameters())
    assert same_losses(one, two)


def test_images() -> None:
    """After a convolution each sample has mean 0 and deviation 1 over channels and positions."""
    session = session_of(Cnn(), images())
    layer_norm.apply(session, Parameters())
    assert grafts(session.model) == {"one": nn.GroupNorm, "two": nn.GroupNorm}
    assert isinstance(session.model, Cnn)
    hidden = session.model.one(images()[0])
    assert torch.allclose(hidden.mean((1, 2, 3)), torch.zeros(24), atol=1e-5)
    assert torch.allclose(hidden.std((1, 2, 3), correction=0), torch.ones(24), atol=1e-3)


def test_sequences() -> None:
    """A Linear over (N, T, F) is normalised over F."""

    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps, self.out = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.out(self.steps(x.unsqueeze(1).expand(-1, 2, -1)).relu().mean(1))
            return logits

    session = session_of(Steps(), table())
    layer_norm.apply(session, Parameters())
    assert grafts(session.model) == {"steps": nn.LayerNorm}
    drive(session)


@pytest.mark.parametrize("model", [mlp, Cnn])
def test_grafted_model_is_a_model(model: type[nn.Module]) -> None:
    """Copies, pickles, states and compiled models compute what the grafted model computes; eval is as in training."""
    data = table() if model is mlp else images()
    session, other = session_of(model(), data), session_of(model(), data)
    layer_norm.apply(session, Parameters())
    layer_norm.apply(other, Parameters())
    drive(session)
    x, expected = data[0], session.model(data[0])
    for twin in (copy.deepcopy(session.model), pickle.loads(pickle.dumps(session.model))):  # noqa: S301  our own bytes
        assert torch.equal(expected, twin.eval()(x))
    other.model.load_state_dict(session.model.state_dict())
    assert torch.equal(expected, other.model(x))
    torch.compiler.reset()
    assert torch.allclose(torch.compile(session.model, backend="eager", fullgraph=True)(x), expected)


def test_single_samples() -> None:
    """Batches of one sample are no hindrance."""
    session = session_of(mlp(), table(3), batch_size=1)
    layer_norm.apply(session, Parameters())
    drive(session)


def test_model_that_normalises() -> None:
    """A model with a norm is refused, by the layer's name."""
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    with pytest.raises(CannotApply, match=r"already normalises \(1\)"):
        layer_norm.apply(session_of(model, table()), Parameters())


def test_candidates() -> None:
    """One choice; none for a model that normalises."""
    assert layer_norm.candidates(diagnosis_of(), Evidence(record_with(normalisation=False))) == [Parameters()]
    assert layer_norm.candidates(diagnosis_of(), Evidence(record_with(normalisation=True))) == []
