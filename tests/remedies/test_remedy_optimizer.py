"""optimizer: the same object, the other optimizer's run, and all that hangs on the object still works."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from sessions import diagnosis_of, drive, mlp, record_of, record_with, session_of, table
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, lr_scheduler

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.remedies import Session, optimizer
from advisor.remedies.optimizer import Kind, Parameters

TARGETS: dict[Kind, Callable[[nn.Module], Optimizer]] = {
    "adamw": lambda model: AdamW(model.parameters(), lr=0.01, weight_decay=0.1),
    "adam": lambda model: Adam(model.parameters(), lr=0.01, weight_decay=0.1),
    "sgd": lambda model: SGD(model.parameters(), lr=0.01, weight_decay=0.1, momentum=0.9),
    "rmsprop": lambda model: torch.optim.RMSprop(model.parameters(), lr=0.01, weight_decay=0.1),
}
SOURCES: dict[str, Callable[[nn.Module], Optimizer]] = {
    "sgd": lambda model: SGD(model.parameters(), lr=0.5, weight_decay=0.1, momentum=0.5, nesterov=True),
    "adam": lambda model: Adam(model.parameters(), lr=0.5, weight_decay=0.1, amsgrad=True),
    "rmsprop": lambda model: torch.optim.RMSprop(model.parameters(), lr=0.5, weight_decay=0.1),
    "adagrad": lambda model: torch.optim.Adagrad(model.parameters(), lr=0.5, weight_decay=0.1),
}
PAIRS = [(source, target) for source in SOURCES for target in TARGETS if source != target]


def session_with(make: Callable[[nn.Module], Optimizer]) -> Session:
    torch.manual_seed(0)
    model = mlp()
    return session_of(model, table(), make(model), epochs=3)


def losses(session: Session, **more: Any) -> list[float]:
    torch.manual_seed(1)
    return drive(session, **more)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_run_is_that_of_the_other_optimizer(source: str, target: Kind) -> None:
    """Bit for bit the losses and weights of a run that had this optimizer from the start."""
    expected = session_with(TARGETS[target])
    session = session_with(SOURCES[source])
    mine = session.optimizers[0]
    optimizer.apply(session, Parameters(kind=target, lr=0.01))
    assert losses(session) == losses(expected)
    weights = zip(session.model.parameters(), expected.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)
    assert session.optimizers[0] is mine
    assert type(mine) is type(expected.optimizers[0])
    assert mine.param_groups[0].keys() == expected.optimizers[0].param_groups[0].keys()
    assert repr(mine) == repr(expected.optimizers[0])


def test_sgd_gets_nesterov_momentum() -> None:
    """SGD becomes SGD with Nesterov's momentum, bit for bit; a second time there is nothing to change."""
    expected = session_with(lambda model: SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True))
    session = session_with(lambda model: SGD(model.parameters(), lr=0.1))
    parameters = Parameters(kind="sgd", lr=0.01, momentum=0.9, nesterov=True)
    optimizer.apply(session, parameters)
    assert losses(session) == losses(expected)
    with pytest.raises(CannotApply, match="is SGD already"):
        optimizer.apply(session, parameters)


def test_nesterov_needs_momentum() -> None:
    """It is refused without momentum, and for other optimizers than SGD."""
    for given in ({"kind": "adamw"}, {"kind": "sgd", "momentum": 0.0}):
        with pytest.raises(ValueError, match="nesterov is a kind of momentum of sgd"):
            Parameters(nesterov=True, **given)


def test_scheduler_that_was_there_before() -> None:
    """A scheduler built before goes on, without a warning, to the rates that it would give the other optimizer."""
    expected, session = session_with(TARGETS["adamw"]), session_with(SOURCES["sgd"])
    schedulers = [lr_scheduler.StepLR(s.optimizers[0], 2) for s in (expected, session)]
    optimizer.apply(session, Parameters(kind="adamw", lr=0.01))
    assert losses(session, each_step=schedulers[1].step) == losses(expected, each_step=schedulers[0].step)
    assert schedulers[0].get_last_lr() == pytest.approx(schedulers[1].get_last_lr())


def test_scheduler_that_comes_later() -> None:
    """A scheduler can be built over the changed object."""
    session = session_with(SOURCES["sgd"])
    optimizer.apply(session, Parameters(kind="adamw", lr=0.01))
    scheduler = lr_scheduler.ExponentialLR(session.optimizers[0], 0.5)
    losses(session, each_step=scheduler.step)
    assert session.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.01 * 0.5**9)


def test_hooks_run_once_a_step() -> None:
    """Step hooks that were registered before, and those after, are called once a step with the user's object."""
    session = session_with(SOURCES["sgd"])
    mine, heard = session.optimizers[0], []
    mine.register_step_pre_hook(lambda o, *_: heard.append(("before", o is mine)))
    optimizer.apply(session, Parameters(kind="adamw"))
    mine.register_step_post_hook(lambda o, *_: heard.append(("after", o is mine)))
    steps = len(losses(session))
    assert heard == [("before", True), ("after", True)] * steps


def test_closure() -> None:
    """step(closure) evaluates the closure and returns its loss."""
    session = session_with(SOURCES["sgd"])
    optimizer.apply(session, Parameters(kind="adamw"))
    inputs, targets = table()

    def closure() -> float:
        session.optimizers[0].zero_grad()
        loss = F.cross_entropy(session.model(inputs), targets)
        loss.backward()
        return float(loss.detach())

    first = session.optimizers[0].step(closure)
    assert first is not None
    assert session.optimizers[0].step(closure) < first


def test_grad_scaler() -> None:
    """A GradScaler skips a step with an infinite gradient and makes one with finite ones."""
    session = session_with(SOURCES["adam"])
    optimizer.apply(session, Parameters(kind="adamw"))
    mine = session.optimizers[0]
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    weight = mine.param_groups[0]["params"][0]
    before = weight.detach().clone()
    for value in (float("inf"), 1.0):
        mine.zero_grad()
        scaler.scale((weight * value).sum()).backward()
        scaler.step(mine)
        scaler.update()
        assert torch.equal(weight, before) == (value != 1.0)


def test_state_can_be_saved_and_loaded() -> None:
    """state_dict holds the moments; loaded into a fresh one of the class it goes on alike. It pickles and copies."""
    session = session_with(SOURCES["sgd"])
    optimizer.apply(session, Parameters(kind="adamw", lr=0.01))
    losses(session)
    mine = session.optimizers[0]
    state = copy.deepcopy(mine.state_dict())
    assert set(state["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}
    fresh = AdamW(mlp().parameters())
    fresh.load_state_dict(state)
    mine.load_state_dict(state)
    assert str(fresh.state_dict()) == str(mine.state_dict())
    twin = pickle.loads(pickle.dumps(mine))  # noqa: S301  our own bytes
    assert type(twin) is AdamW
    assert type(copy.deepcopy(mine)) is AdamW


def test_groups_keep_their_proportions_and_their_own_entries() -> None:
    """A group with a tenth of the rate still has it, its own decay, and what the user put into it."""
    model = mlp()
    groups = [{"params": model[0].parameters(), "lr": 0.05, "weight_decay": 0.3, "name": "first"}]
    mine = SGD([*groups, {"params": model[2].parameters(), "name": "second"}], lr=0.5)
    own = mine.param_groups[0], mine.param_groups[0]["params"]
    session = session_of(model, table(), mine)
    optimizer.apply(session, Parameters(kind="adamw", lr=0.01))
    first, second = mine.param_groups
    assert (first is own[0], first["params"] is own[1]) == (True, True)
    assert [first["lr"], second["lr"]] == pytest.approx([0.001, 0.01])
    assert (first["weight_decay"], second["weight_decay"]) == (0.3, 0.0)
    assert (first["name"], second["name"]) == ("first", "second")


def test_usual_rate_where_none_is_given() -> None:
    """AdamW gets 1e-3 and SGD 0.1."""
    for source, target, lr in (("sgd", "adamw", 1e-3), ("adam", "sgd", 0.1)):
        session = session_with(SOURCES[source])
        optimizer.apply(session, Parameters(kind=target))
        assert session.optimizers[0].param_groups[0]["lr"] == pytest.approx(lr)


class Ours(SGD):
    """Not one of torch's own."""


def test_optimizers_that_are_left_alone() -> None:
    """The same class, another library's, a replaced step and a cycled momentum are refused, each by its reason."""
    refused = {
        "AdamW already": session_with(TARGETS["adamw"]),
        "Ours is not one of torch's own": session_with(lambda model: Ours(model.parameters(), lr=0.1)),
        "step has been replaced": session_with(SOURCES["sgd"]),
        "cycles the momentum": session_with(SOURCES["sgd"]),
        "sparse gradients": session_with(SOURCES["sgd"]),
    }
    refused["step has been replaced"].optimizers[0].step = lambda: None
    cycled = lr_scheduler.OneCycleLR(refused["cycles the momentum"].optimizers[0], 0.1, total_steps=10)
    refused["sparse gradients"].model.add_module("words", nn.Embedding(3, 3, sparse=True))
    for reason, session in refused.items():
        before = repr(session.optimizers[0])
        with pytest.raises(CannotApply, match=reason):
            optimizer.apply(session, Parameters(kind="adamw"))
        assert repr(session.optimizers[0]) == before
    assert cycled.last_epoch == 0


def test_took_effect_reads_the_recorded_class() -> None:
    """A record whose optimizer is still of the old class shows no effect."""
    session = session_with(SOURCES["sgd"])
    optimizer.apply(session, Parameters(kind="adamw"))
    assert optimizer.took_effect(record_of(session, optimizer=[{"class": "AdamW"}]), Parameters())
    assert not optimizer.took_effect(record_of(session, optimizer=[{"class": "SGD"}]), Parameters())


def test_candidates() -> None:
    """The other family, at two rates; momentum for SGD without any; nothing where the optimizer is not known."""
    for used, target in (("SGD", "adamw"), ("AdamW", "sgd"), ("Adam", "sgd"), ("RMSprop", "adamw")):
        found = optimizer.candidates(diagnosis_of(), Evidence(record_with(optimizer=[{"class": used}])))
        assert [choice.kind for choice in found] == [target, target]
    plain = Evidence(record_with(optimizer=[{"class": "SGD", "lr": 0.1, "momentum": 0.0}]))
    with_momentum = optimizer.candidates(diagnosis_of(), plain)[1]
    assert (with_momentum.kind, with_momentum.lr, with_momentum.nesterov) == ("sgd", pytest.approx(0.01), True)
    assert optimizer.candidates(diagnosis_of(), Evidence(record_with())) == []


@pytest.mark.parametrize(("used", "kind"), [("SGD", "sgd"), ("RMSprop", "rmsprop")])
def test_a_momentum_that_is_too_high_becomes_the_usual_one(used: str, kind: str) -> None:
    """First what the finding says to do: the same optimizer and rate with 0.9; then others."""
    evidence = Evidence(record_with(optimizer=[{"class": used, "lr": 0.05, "momentum": 0.99}]))
    found = optimizer.candidates(diagnosis_of("momentum_too_high"), evidence)
    assert [choice.kind for choice in found] == [kind, "adamw", "adamw"]
    assert (found[0].lr, found[0].momentum) == (0.05, 0.9)
