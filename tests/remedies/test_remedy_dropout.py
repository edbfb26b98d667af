"""dropout: where it is grafted, what it does there, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch
from sessions import Cnn, diagnosis_of, drive, images, mlp, record_of, record_with, session_of, table
from torch import Tensor, nn

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.remedies import dropout
from advisor.remedies.dropout import Parameters


def grafts(model: nn.Module) -> dict[str, type[nn.Module]]:
    return {
        name.removesuffix(".advisor_dropout"): type(part)
        for name, part in model.named_modules()
        if name.endswith("advisor_dropout")
    }


def test_linear_layers_but_the_first() -> None:
    """In an MLP every layer that reads hidden units gets dropout, and the one that reads the inputs does not."""
    session = session_of(mlp(), table())
    dropout.apply(session, Parameters())
    assert grafts(session.model) == {"2": nn.Dropout, "4": nn.Dropout}
    assert session.facts["remedy.dropout"] == {"layers": ["2", "4"], "seen": True, "reached": 0}


def test_drops_after_the_activation() -> None:
    """What reaches a layer is the activation of the layer before, each unit either 0 or divided by 1 - rate."""
    session = session_of(mlp(), table())
    dropout.apply(session, Parameters(rate=0.5))
    model = session.model
    assert isinstance(model, nn.Sequential)
    inputs = table()[0]
    hidden = torch.relu(model[0](inputs))
    model[2].weight.data = torch.eye(8)
    model[2].bias.data.zero_()
    dropped = model[2](hidden)
    share = float((dropped[hidden > 0] == 0).float().mean())
    assert 0.3 < share < 0.7
    kept = dropped != 0
    assert torch.allclose(dropped[kept], 2 * hidden[kept])


def test_convolutions_only_where_asked_and_by_channel() -> None:
    """Conv layers get channel dropout with conv_rate above 0; the layer that reads the image never does."""
    session = session_of(Cnn(), images())
    dropout.apply(session, Parameters(rate=0.5, conv_rate=0.5))
    assert grafts(session.model) == {"two": nn.Dropout2d, "out": nn.Dropout}
    two = session.model.get_submodule("two.advisor_dropout")
    dropped = two(torch.ones(16, 4, 3, 3)).flatten(2)
    assert torch.equal(dropped.amin(2), dropped.amax(2))  # a channel is dropped as a whole

    plain = session_of(Cnn(), images())
    dropout.apply(plain, Parameters(rate=0.5))
    assert grafts(plain.model) == {"out": nn.Dropout}


def test_own_dropout_gets_the_rate() -> None:
    """A model with dropout of its own is not grafted: its rate changes, and the facts say from what to what."""
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))
    session = session_of(model, table())
    dropout.apply(session, Parameters(rate=0.4))
    assert isinstance(model[2], nn.Dropout)
    assert model[2].p == 0.4
    assert grafts(model) == {}
    assert session.facts["remedy.dropout"] == {"changed": {"2": [0.1, 0.4]}}
    assert dropout.took_effect(record_of(session), Parameters(rate=0.4))
    with pytest.raises(CannotApply, match="already has this rate"):
        dropout.apply(session, Parameters(rate=0.4))


def test_own_dropout_is_taken_away() -> None:
    """A rate of 0 takes away dropout of units and of channels; a high rate leaves the channels' own alone."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout2d(0.6), nn.Flatten(), nn.Dropout(0.9), nn.Linear(72, 3))
    dropout.apply(session_of(model, images()), Parameters(rate=0.7))
    assert [part.p for part in model if isinstance(part, nn.Dropout | nn.Dropout2d)] == [0.6, 0.7]
    dropout.apply(session_of(model, images()), Parameters(rate=0.0))
    assert [part.p for part in model if isinstance(part, nn.Dropout | nn.Dropout2d)] == [0.0, 0.0]


def test_one_layer_has_no_hidden_units() -> None:
    """A linear model is refused."""
    session = session_of(nn.Sequential(nn.Linear(6, 3)), table())
    with pytest.raises(CannotApply, match="no layer reads hidden units"):
        dropout.apply(session, Parameters())


def test_nothing_to_take_away() -> None:
    """A rate of 0 is refused in a model without dropout."""
    with pytest.raises(CannotApply, match="no dropout to take away"):
        dropout.apply(session_of(mlp(), table()), Parameters(rate=0.0))


class Branches(nn.Module):
    """Defined back to front, with a second branch that reads the input, a recurrent layer and a layer never called."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(16, 3)
        self.unused = nn.Linear(8, 8)
        self.recurrent = nn.LSTM(8, 8, batch_first=True)
        self.side = nn.Linear(6, 8)
        self.attention = nn.MultiheadAttention(8, 1, batch_first=True)
        self.main = nn.Linear(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.main(x)).unsqueeze(1)
        hidden = self.attention(hidden, hidden, hidden)[0]
        hidden = self.recurrent(hidden)[0].squeeze(1)
        logits: Tensor = self.out(torch.cat([hidden, self.side(x)], dim=1))
        return logits


def test_order_is_that_of_the_forward_pass() -> None:
    """Layers that read the input, that are never called, or that belong to a recurrent layer get nothing."""
    session = session_of(Branches(), table())
    dropout.apply(session, Parameters())
    assert grafts(session.model) == {"out": nn.Dropout}


def test_layer_after_a_recurrent_one_reads_hidden_units() -> None:
    """The first Linear layer counts as hidden where a recurrent layer has read the input."""

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent, self.out = nn.GRU(6, 8, batch_first=True), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.out(self.recurrent(x.unsqueeze(1))[0][:, 0])
            return logits

    session = session_of(Recurrent(), table())
    dropout.apply(session, Parameters())
    assert grafts(session.model) == {"out": nn.Dropout}


def test_order_of_definition_where_no_batch_is_known() -> None:
    """Without an example the first defined layer counts as the one that reads the input, and the facts say so."""
    session = session_of(mlp(), table())
    session._example = None
    dropout.apply(session, Parameters())
    note = session.facts["remedy.dropout"]
    assert note == {"layers": ["2", "4"], "seen": False, "reached": 0}
    drive(session)
    assert dropout.took_effect(record_of(session), Parameters())


def test_functional_use_of_a_layer_is_no_effect() -> None:
    """A model that reads its weights without calling its layers is not reached, and the record shows it."""

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.linear(self.one(x).relu(), self.two.weight, self.two.bias)

    session = session_of(Functional(), table())
    session._example = None
    dropout.apply(session, Parameters())
    drive(session)
    assert not dropout.took_effect(record_of(session), Parameters())


def test_candidates() -> None:
    """0.5 and 0.2 for any network, conv_rate for one with convolutions, none against underfitting."""
    dense, convolutional = Evidence(record_with()), Evidence(record_with(kinds=("Conv2d", "Linear")))
    assert dropout.candidates(diagnosis_of("overfitting"), dense) == [Parameters(rate=0.5), Parameters(rate=0.2)]
    assert Parameters(rate=0.5, conv_rate=0.25) in dropout.candidates(diagnosis_of("overfitting"), convolutional)
    assert dropout.candidates(diagnosis_of("underfitting"), dense) == []
    with_dropout = Evidence(record_with(dropout=True))
    assert dropout.candidates(diagnosis_of("over_regularised"), with_dropout) == [Parameters(rate=0.0)]
    strong = Evidence(record_with(dropout=True, dropout_rate=0.8))
    assert dropout.candidates(diagnosis_of("over_regularised"), strong) == [Parameters(rate=0.2), Parameters(rate=0.0)]
