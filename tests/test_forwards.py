"""A step that calls its model several times: the targets go with the call that led to their loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor.forwards import Forwards
from advisor.losses import LossCall


def call_of(output: Tensor) -> LossCall:
    return LossCall("mse_loss", output.detach().mean(), output.detach(), None, lambda *_: None)


@pytest.mark.parametrize("which", [0, 1])
def test_the_pass_that_led_to_the_loss_is_found_by_its_graph(which: int) -> None:
    """Both passes are part of the sum that backward begins at; a view and a sigmoid stand before the loss."""
    model = nn.Linear(3, 1)
    forwards, outputs = Forwards(), []
    for _ in range(2):
        x = torch.randn(4, 3)
        outputs.append(model(x))
        forwards.heard((x,), {}, outputs[-1])
    handed = outputs[which].sigmoid().squeeze(1)
    root = handed.mean() + outputs[1 - which].mean()
    found = forwards.of(call_of(handed), [("mse_loss", None, (handed, torch.zeros(4)), {}, root)], root)
    assert found is not None
    assert found[2] is outputs[which]


def test_what_no_graph_leads_to_is_not_guessed() -> None:
    """A loss of something else has no pass; where there was one pass only, it is that one."""
    model, other = nn.Linear(3, 1), torch.ones(4, requires_grad=True) * 2
    forwards = Forwards()
    forwards.heard((), {}, model(torch.randn(4, 3)))
    assert forwards.of(call_of(other), [], other.sum()) is not None
    forwards.heard((), {}, model(torch.randn(4, 3)))
    assert forwards.of(call_of(other), [], other.sum()) is None


def test_the_clean_pass_scores_the_labelled_samples_where_others_go_through_the_model_after_them() -> None:
    """Consistency on unlabelled samples of the other sign: their answers are no answers to the labels."""
    torch.manual_seed(0)
    x = torch.randn(60, 2)
    y = (x[:, 0] > 0).long()
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
        model.bias.zero_()
    loader = DataLoader(TensorDataset(x, y), 20)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    watched = advisor.watch(range(2), model, optimizer, train=loader, report=False)
    for _ in watched:
        for xb, yb in loader:
            labelled, unlabelled = model(xb), model(-xb)
            (functional.cross_entropy(labelled, yb) + 0.1 * unlabelled.pow(2).mean()).backward()
            optimizer.step()
    assert watched.record.problems == ()
    assert watched.record.epochs["clean_train_accuracy"].to_numpy() == pytest.approx([1.0, 1.0])


def test_inputs_that_never_meet_a_label_are_not_compared_with_validation() -> None:
    """Another domain goes through the model beside the labelled samples, on purpose: those are like validation."""
    torch.manual_seed(0)
    x = torch.randn(120, 2)
    y = (x[:, 0] > 0).long()
    train, val = DataLoader(TensorDataset(x[:60], y[:60]), 20), DataLoader(TensorDataset(x[60:], y[60:]), 20)
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = advisor.watch(range(2), model, optimizer, train=train, val=val, report=False)
    for _ in watched:
        for xb, yb in train:
            labelled, other = model(xb), model(xb + 9.0)
            optimizer.zero_grad()
            (functional.cross_entropy(labelled, yb) + 0.1 * other.pow(2).mean()).backward()
            optimizer.step()
        with torch.no_grad():
            for xb, yb in val:
                functional.cross_entropy(model(xb), yb)
    inputs = watched.record.facts["inputs"]
    assert isinstance(inputs, dict)
    assert inputs["level"] == "model"
    assert inputs["train_mean"] == pytest.approx(x[:60].mean().item(), abs=1e-3)
