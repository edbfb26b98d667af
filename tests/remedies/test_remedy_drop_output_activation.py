"""drop_output_activation: the run becomes the one of the script without the activation."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from sessions import diagnosis_of, record_with, session_of, table
from torch import Tensor, nn
from twins import assert_same, run

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.loss_inputs import LossInputs
from advisor.plan import Plan
from advisor.remedies import Session, drop_output_activation
from advisor.remedies.drop_output_activation import Parameters

PLAN = Plan.of("drop_output_activation")
LABELS = table()
BINARY = LABELS[0], (LABELS[1] == 0).float()[:, None]
NUMBERS = LABELS[0], LABELS[0].sum(1, keepdim=True) / 2


def small(out: int, *last: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, out), *last)


class Written(nn.Module):
    """Ends in an activation that is a function; in evaluation in train mode's twin."""

    def __init__(self, last: str) -> None:
        super().__init__()
        self.one, self.two, self.last = nn.Linear(6, 8), nn.Linear(8, 3), last

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.two(torch.relu(self.one(x)))
        if self.last == "function":
            return F.softmax(scores, dim=1)
        if self.last == "torch":
            return torch.softmax(scores, 1).clamp(1e-7, 1 - 1e-7)
        if self.last == "method":
            return scores.softmax(-1)
        if self.last == "twice":
            return 2 * torch.tanh(scores)
        if self.last == "in place":
            return F.relu(scores, inplace=True)
        if self.last == "in eval only":
            return scores if self.training else scores.softmax(1)
        return scores


def with_softmax() -> Session:
    return session_of(small(3, nn.Softmax(1)), table())


def with_function() -> Session:
    return session_of(Written("function"), table())


FITTING = (with_softmax, with_function)


@pytest.mark.parametrize("last", ["function", "torch", "method", "in place"])
def test_functions_are_skipped(last: str) -> None:
    """A softmax or ReLU that is a function, a method, within a clamp or in place: losses are those without it."""

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x), y)

    repaired, _, record = run(lambda: Written(last), loss, LABELS, PLAN)
    right, _, _ = run(lambda: Written(""), loss, LABELS)
    assert repaired == right
    assert record.problems == ()
    assert drop_output_activation.took_effect(record, Parameters())


def test_a_scaled_activation_leaves_its_factor() -> None:
    """2 · tanh(scores) becomes 2 · scores."""
    session = session_of(Written("twice"), table())
    x = table()[0]
    drop_output_activation.apply(session, Parameters())
    model = session.model
    scores = model.two(torch.relu(model.one(x)))  # type: ignore[operator]
    assert torch.equal(model(x), 2 * scores)


@pytest.mark.parametrize(
    ("data", "last", "loss"),
    [
        (LABELS, nn.Softmax(dim=1), F.cross_entropy),
        (BINARY, nn.Sigmoid(), F.binary_cross_entropy_with_logits),
        (NUMBERS, nn.ReLU(), F.mse_loss),
        (NUMBERS, nn.Tanh(), F.mse_loss),
        (NUMBERS, nn.Sigmoid(), F.l1_loss),
    ],
    ids=["softmax", "sigmoid", "relu", "tanh", "sigmoid before a distance"],
)
def test_layers_are_skipped(data: tuple[Tensor, Tensor], last: nn.Module, loss: object) -> None:
    """Losses of training and validation are those of the model without its last layer, bit for bit."""
    out = 3 if data is LABELS else 1

    def value(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        result: Tensor = loss(model(x), y)  # type: ignore[operator]
        return result

    repaired, model, _ = run(lambda: small(out, last), value, data, PLAN)
    right, twin, _ = run(lambda: small(out), value, data)
    assert repaired == right
    assert torch.equal(model(data[0]), twin(data[0]))  # also after the loop


@pytest.mark.parametrize("by_hand", [False, True], ids=["loader", "batches by hand"])
def test_without_a_loader_the_first_forward_tells(by_hand: bool) -> None:
    """A loop that feeds its batches itself has no example: the losses are the right ones all the same."""

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x), y)

    repaired, _, record = run(lambda: small(3, nn.Softmax(1)), loss, LABELS, PLAN, batches_by_hand=by_hand)
    right, _, _ = run(lambda: small(3), loss, LABELS)
    assert repaired == right
    assert drop_output_activation.took_effect(record, Parameters())


def test_no_random_number_is_drawn_for_the_first_forward() -> None:
    """Dropout, drawn in a pass that is made once more to look at it, falls as it would have."""

    def make(*last: nn.Module) -> nn.Sequential:
        return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3), *last)

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x), y)

    repaired, model, _ = run(lambda: make(nn.Softmax(1)), loss, LABELS, PLAN, batches_by_hand=True)
    right, twin, _ = run(make, loss, LABELS, batches_by_hand=True)
    assert repaired == right
    assert torch.equal(model[1].running_mean, twin[1].running_mean)  # type: ignore[index]


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_an_activation_of_the_loop_is_undone_at_the_loss(kind: str) -> None:
    """softmax(model(x)) into cross_entropy, sigmoid(model(x)) into BCE with logits: as on the logits, to rounding."""
    softmax = kind == "softmax"
    data, out = (LABELS, 3) if softmax else (BINARY, 1)
    score = F.cross_entropy if softmax else F.binary_cross_entropy_with_logits

    def faulty(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return score(F.softmax(model(x), dim=1) if softmax else torch.sigmoid(model(x)), y)

    def right(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return score(model(x), y)

    repaired, _, record = run(lambda: small(out), faulty, data, PLAN)
    assert_same(repaired, run(lambda: small(out), right, data)[0])
    assert record.facts["remedy.drop_output_activation"] == {"where": "loss", "reached": True}


def test_a_sigmoid_undone_at_the_loss_stays_in_the_model() -> None:
    """Losses are those of the logits, to rounding; the model goes on to give probabilities."""

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(model(x), y)

    plan = Plan.of("drop_output_activation", at="loss")
    repaired, model, record = run(lambda: small(1, nn.Sigmoid()), loss, BINARY, plan)
    right, twin, _ = run(lambda: small(1), loss, BINARY)
    assert_same(repaired, right)
    assert torch.allclose(torch.sigmoid(twin(BINARY[0])), model(BINARY[0]), atol=1e-5)
    assert drop_output_activation.took_effect(record, Parameters(at="loss"))


def test_probabilities_in_evaluation_alone_are_left_alone() -> None:
    """A model that gives logits to the loss and probabilities to the user is as it was."""
    session = session_of(Written("in eval only"), table())
    before = session.model.eval()(table()[0])
    drop_output_activation.apply(session, Parameters())
    assert torch.equal(before, session.model(table()[0]))


def test_log_of_softmax_is_left_alone() -> None:
    """A logarithm stands behind the softmax: without it, it would be one of negative numbers."""

    class Logs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return torch.log(torch.softmax(self.one(x), 1))

    session = session_of(Logs(), table())
    before = session.model(table()[0])
    drop_output_activation.apply(session, Parameters())
    assert torch.equal(before, session.model(table()[0]))


def test_copies_compute_the_same() -> None:
    """deepcopy and pickle keep the change, without a forward that is under way."""
    session = with_softmax()
    drop_output_activation.apply(session, Parameters())
    x = table()[0]
    expected = session.model[:3](x)  # type: ignore[index]
    for twin in (copy.deepcopy(session.model), pickle.loads(pickle.dumps(session.model))):  # noqa: S301  our own bytes
        assert torch.equal(expected, twin(x))


def test_a_forward_that_raises_leaves_no_mode() -> None:
    """After an error inside the forward torch's functions are as they were."""
    session = with_softmax()
    drop_output_activation.apply(session, Parameters())
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        session.model(torch.zeros(2, 5))
    assert torch.overrides._get_current_function_mode_stack() == []
    x = table()[0]
    assert torch.equal(session.model[:3](x), session.model(x))  # type: ignore[index]


def test_compiling_afterwards_keeps_the_change() -> None:
    """torch.compile of the repaired model traces it whole, and gives logits."""
    session = with_softmax()
    drop_output_activation.apply(session, Parameters())
    x = table()[0]
    torch.compiler.reset()
    compiled = torch.compile(session.model, backend="eager", fullgraph=True)
    assert torch.equal(session.model[:3](x), compiled(x))  # type: ignore[index]


@pytest.mark.parametrize("in_place", [True, False])
def test_a_compiled_model_is_refused(in_place: bool) -> None:
    """Hooks that are registered after compilation may be ignored."""
    session = with_softmax()
    torch.compiler.reset()
    if in_place:
        session.model.compile(backend="eager")
        held = None
    else:
        held = torch.compile(session.model, backend="eager")
    with pytest.raises(CannotApply, match="the model is compiled; apply it before"):
        drop_output_activation.apply(session, Parameters())
    del held


def test_a_loss_of_probabilities_is_refused() -> None:
    """Where the loss is BCELoss or NLLLoss the activation is what it wants."""
    session = with_softmax()
    session.loss_fn = nn.BCELoss()
    with pytest.raises(CannotApply, match="BCELoss takes probabilities"):
        drop_output_activation.apply(session, Parameters())


def test_candidates() -> None:
    """One where a rule fired, or where the record shows an activation before a loss of logits; two of a sigmoid."""
    softmax = LossInputs(name="cross_entropy", measures="cross_entropy", last=("softmax",))
    linear = LossInputs(name="cross_entropy", measures="cross_entropy", last=("linear",))
    shown = [Evidence(record_with(loss_inputs=[one.model_dump(mode="json")])) for one in (softmax, linear)]
    assert [Parameters()] == drop_output_activation.candidates(diagnosis_of(), shown[0])
    assert [] == drop_output_activation.candidates(diagnosis_of(), shown[1])
    name = "binary_cross_entropy_with_logits"
    sigmoid = LossInputs(name=name, measures=name, last=("clamp", "sigmoid"))
    ended = record_with(loss_inputs=[sigmoid.model_dump(mode="json")])
    fired = diagnosis_of("probabilities_into_logits_loss")
    both = [Parameters(), Parameters(at="loss")]
    assert both == drop_output_activation.candidates(fired, Evidence(ended))
    reading = replace(ended, info=ended.info.model_copy(update={"source": "right = (output > 0.5) == y"}))
    assert both[::-1] == drop_output_activation.candidates(fired, Evidence(reading))
    assert [Parameters()] == drop_output_activation.candidates(fired, Evidence(record_with()))
