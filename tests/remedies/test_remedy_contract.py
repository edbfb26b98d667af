"""What holds for every remedy in the folder.

A remedy is tried on a small network and on small images. One that needs something else (a softmax before the loss,
say) says so in its own test file, test_remedy_<name>.py:

    FITTING = (function, ...)  each makes a session in which the remedy has something to do
    PARAMETERS = {...}         what is tried, where its defaults are not
    NEW_WEIGHTS = True         it changes values of the model's state on purpose
    ALWAYS = True              there is no session in which it cannot be applied
"""

from __future__ import annotations

import copy
import importlib
import io
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sessions import (
    Cnn,
    diagnosis_of,
    drive,
    images,
    mlp,
    record_with,
    session_of,
    table,
    watched,
    with_validation,
)
from torch import nn

from advisor.errors import CannotApply, PlanError
from advisor.evidence import Evidence
from advisor.plan import Plan, Step
from advisor.remedies import HEADINGS, Session, check_plan, load_remedies

REMEDIES = sorted(load_remedies())
MODELS = ("mlp", "cnn")
GRAFTS = ("batch_norm", "dropout")
FACTS = {
    "optimizer": [{"class": "SGD", "lr": 0.1, "weight_decay": 0.0, "momentum": 0.0}],
    "input_batch": {"shape": [8, 6], "dtype": "float32", "target_shape": [8]},
    "scheduler": None,
    "normalisation": False,
    "dropout": False,
    "batch_size": 32,
}


def make(model: str) -> Session:
    if model == "mlp":
        return session_of(mlp(), table())
    return session_of(Cnn(), images())


def own(name: str, what: str, default: Any) -> Any:
    """What a remedy's own test file says of it."""
    try:
        return getattr(importlib.import_module(f"test_remedy_{name}"), what, default)
    except ModuleNotFoundError:
        return default


def small_network() -> Session:
    return make("mlp")


def small_images() -> Session:
    return make("cnn")


CASES = [(name, fitting) for name in REMEDIES for fitting in own(name, "FITTING", (small_network, small_images))]


def apply(name: str, session: Session) -> None:
    load_remedies()[name].apply(session, Step(remedy=name, parameters=own(name, "PARAMETERS", {})))


def plan_of(name: str) -> Plan:
    return Plan.of(name, **own(name, "PARAMETERS", {}))


def random_states() -> tuple[object, ...]:
    return torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())


@pytest.mark.parametrize("name", REMEDIES)
def test_page_is_complete(name: str) -> None:
    """A page has a summary of one paragraph, and something under every heading."""
    page = load_remedies()[name].page
    parts = page.split("\n## ")
    assert tuple(part.split("\n", 1)[0].strip() for part in parts[1:]) == HEADINGS
    assert all(len(part.split("\n", 1)[1].strip()) > 3 for part in parts[1:])
    assert load_remedies()[name].summary.endswith(".")


@pytest.mark.parametrize("name", REMEDIES)
def test_parameters_have_defaults_and_parts_are_known(name: str) -> None:
    """Every parameter has a default, and a remedy changes parts that a plan knows of."""
    remedy = load_remedies()[name]
    assert all(not field.is_required() for field in remedy.parameters.model_fields.values())
    assert remedy.changes
    assert all(part.replace("_", "").isalpha() for part in remedy.changes)


@pytest.mark.parametrize(("name", "fitting"), CASES)
def test_apply_is_in_place(name: str, fitting: Callable[[], Session]) -> None:
    """The user's objects stay the same ones, and existing state_dict keys keep their values bit for bit."""
    session = fitting()
    live = session.model, session.optimizers[0], session.train, session.loss_fn, session.optimizers[0].param_groups[0]
    before = {key: value.clone() for key, value in session.model.state_dict().items()}
    apply(name, session)
    group = session.optimizers[0].param_groups[0]
    now = session.model, session.optimizers[0], session.train, session.loss_fn, group
    assert all(a is b for a, b in zip(live, now, strict=True))
    after = session.model.state_dict()
    assert [key for key in after if key in before] == list(before)
    assert own(name, "NEW_WEIGHTS", False) or all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize(("name", "fitting"), CASES)
def test_apply_draws_no_random_number(name: str, fitting: Callable[[], Session]) -> None:
    """The generators of torch, numpy and random are as they were; so are modes and gradients."""
    session = fitting()
    session.model.train()
    before = random_states()
    apply(name, session)
    assert before == random_states()
    assert all(module.training for module in session.model.modules())
    assert all(parameter.grad is None for parameter in session.model.parameters())


@pytest.mark.parametrize(("name", "fitting"), CASES)
def test_run_shows_the_effect(name: str, fitting: Callable[[], Session]) -> None:
    """After a watched run the record says that the remedy took effect; that of a run without it does not."""
    remedy, plan = load_remedies()[name], plan_of(name)
    record = watched(fitting(), plan)
    assert record.problems == ()
    assert record.info.status in ("finished", "stopped")
    assert remedy.took_effect(record, plan.steps[0])
    assert not remedy.took_effect(watched(fitting()), plan.steps[0])


@pytest.mark.parametrize("name", [name for name in REMEDIES if not own(name, "ALWAYS", False)])
def test_nothing_to_change_means_cannot_apply(name: str) -> None:
    """A session with no layer, no optimizer, no loader and no end gives a remedy nothing to change."""
    session = Session(nn.Identity(), [], [])
    with pytest.raises(CannotApply, match=r".+: .+"):
        apply(name, session)


@pytest.mark.parametrize("name", REMEDIES)
def test_parameters_are_checked(name: str) -> None:
    """An unknown parameter, and one of the wrong type, is an error of the plan that names it."""
    with pytest.raises(PlanError, match=r"there is no parameter 'no_such'; it takes"):
        check_plan(Plan.of(name, no_such=1))
    for field in load_remedies()[name].parameters.model_fields:
        with pytest.raises(PlanError, match=f"remedy {name}: {field}"):
            check_plan(Plan.of(name, **{field: {"a": "table"}}))


@pytest.mark.parametrize("rule", [None, "overfitting", "underfitting", "learning_rate_too_high", "too_few_epochs"])
@pytest.mark.parametrize("name", REMEDIES)
def test_candidates_are_plans(name: str, rule: str | None) -> None:
    """At most three candidates, all different, all valid, and what a plan's file gives back."""
    evidence = Evidence(with_validation(record_with(**FACTS)))
    plans = load_remedies()[name].candidates(diagnosis_of(*[rule] if rule else []), evidence)
    assert len(plans) <= 3
    assert len({str(plan) for plan in plans}) == len(plans)
    for plan in plans:
        check_plan(plan)
        assert Plan.parse(plan.to_toml()) == plan


@pytest.mark.parametrize("name", REMEDIES)
def test_candidates_need_no_evidence(name: str) -> None:
    """A record that measured nothing is no reason to raise."""
    assert isinstance(load_remedies()[name].candidates(diagnosis_of(), Evidence(record_with())), list)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", GRAFTS)
def test_grafted_model_can_be_copied(name: str, model: str) -> None:
    """deepcopy and pickle give models that compute the same and are independent of the original."""
    session = make(model)
    apply(name, session)
    drive(session)
    inputs = session.example()[0]
    session.model.eval()
    for copied in (copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))):  # noqa: S301  our own bytes
        twin = copied(session.model)
        assert torch.equal(session.model(inputs), twin(inputs))
        mine = {id(part) for part in session.model.modules()}
        assert not mine & {id(part) for part in twin.modules()}
        twin.train()
        assert not session.model.training
        torch.manual_seed(3)
        one = twin(inputs)
        torch.manual_seed(3)
        assert torch.equal(one, session.model.train()(inputs))
        session.model.eval()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", GRAFTS)
def test_grafted_weights_can_be_saved(name: str, model: str, tmp_path: Path) -> None:
    """torch.save of the state_dict loads into another model with the same graft."""
    session, other = make(model), make(model)
    apply(name, session)
    apply(name, other)
    drive(session)
    path = tmp_path / "weights.pt"
    torch.save(session.model.state_dict(), path)
    other.model.load_state_dict(torch.load(path, weights_only=True))
    inputs = session.example()[0]
    assert torch.equal(session.model.eval()(inputs), other.model.eval()(inputs))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", GRAFTS)
def test_grafted_model_evaluates_and_trains(name: str, model: str) -> None:
    """eval() is deterministic; a forward and backward under bfloat16 autocast reaches every weight."""
    session = make(model)
    apply(name, session)
    inputs, targets = session.example()
    session.model.eval()
    assert torch.equal(session.model(inputs), session.model(inputs))
    session.model.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = nn.functional.cross_entropy(session.model(inputs), targets)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in session.model.parameters())


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", GRAFTS)
def test_grafted_model_compiles(name: str, model: str) -> None:
    """torch.compile traces the grafts without a break, and evaluation gives what the plain model gives."""
    session = make(model)
    apply(name, session)
    inputs = session.example()[0]
    torch.compiler.reset()
    compiled = torch.compile(session.model, backend="eager", fullgraph=True)
    compiled.train()
    torch.manual_seed(3)
    one = compiled(inputs)
    torch.manual_seed(3)
    assert torch.equal(one, session.model(inputs))
    compiled.eval()
    assert torch.allclose(compiled(inputs), session.model(inputs))


def test_all_remedies_are_loaded() -> None:
    """A file of the folder is a remedy, but for those whose name begins with an underscore."""
    folder = Path(load_remedies()["dropout"].module.__file__ or "").parent
    assert REMEDIES == sorted(path.stem for path in folder.glob("[!_]*.py"))


def test_state_of_a_grafted_optimizer_can_be_saved() -> None:
    """A state_dict of the optimizer goes through torch.save after a graft has joined its groups."""
    session = session_of(model := mlp(), table(), torch.optim.Adam(model.parameters()))
    apply("batch_norm", session)
    drive(session)
    buffer = io.BytesIO()
    torch.save(session.optimizers[0].state_dict(), buffer)
    buffer.seek(0)
    session.optimizers[0].load_state_dict(torch.load(buffer, weights_only=True))
    drive(session)
