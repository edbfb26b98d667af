"""Several remedies in one plan, in whatever order; what a plan leaves behind, also one that cannot be applied."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from loops import Program, program, run, same, usual
from sessions import mlp, session_of, table, watched
from test_remedy_contract import CASES, own, plan_of
from torch import Tensor, nn
from torch.optim import Adagrad
from torch.utils.data import DataLoader

import advisor
from advisor.errors import CannotApply, PlanError
from advisor.loss_changes import LossArguments
from advisor.plan import Plan, Step
from advisor.remedies import Session, check_plan, load_remedies
from advisor.remedies.use_cross_entropy import Exchange

ORDERS = (False, True)


def together(*names: str, turned: bool = False) -> Plan:
    return Plan(steps=tuple(Step(remedy=name) for name in (reversed(names) if turned else names)))


def loader_state(loader: DataLoader[Any] | None) -> list[Any]:
    if loader is None:
        return []
    inner = loader.batch_sampler
    return [
        loader.dataset,
        loader.batch_size,
        loader.drop_last,
        loader.sampler,
        inner,
        *(vars(inner).items() if inner else ()),
    ]


def borrowed(session: Session) -> list[Any]:
    """What a plan may change only as long as the loop runs."""
    hooks = [dict(o._optimizer_step_pre_hooks) | dict(o._optimizer_step_post_hooks) for o in session.optimizers]
    loss_fn = session.loss_fn
    of_loss = [dict(loss_fn._forward_hooks), dict(loss_fn._forward_pre_hooks)] if isinstance(loss_fn, nn.Module) else []
    classes = [type(scheduler) for scheduler in session.schedulers]
    return [loader_state(session.train), hooks, of_loss, classes, F.cross_entropy.__code__]


@pytest.mark.parametrize(("name", "fitting"), CASES)
def test_what_is_borrowed_is_given_back(name: str, fitting: Callable[[], Session]) -> None:
    """After a loop its loader, optimizer hooks, schedulers and loss functions are what they were."""
    session = fitting()
    before = borrowed(session)
    watched(session, plan_of(name))
    assert borrowed(session) == before


@pytest.mark.parametrize(("name", "fitting"), [case for case in CASES if case[0] != "early_stopping"])
def test_nothing_is_left_by_a_plan_that_cannot_be_applied(name: str, fitting: Callable[[], Session]) -> None:
    """Where a later remedy has nothing to change, what the earlier ones borrowed is given back at once."""
    session = fitting()
    before = borrowed(session)
    own_epochs = session.epochs or 1
    impossible = Step(remedy="early_stopping", parameters={"patience": 1000 * own_epochs})
    with pytest.raises(CannotApply, match="cannot wait"):
        watched(session, Plan(steps=(*plan_of(name).steps, impossible)))
    assert borrowed(session) == before


def test_leaving_is_undone_in_turn_and_to_the_end() -> None:
    """The last change is undone first; one that raises keeps none of the others from it."""
    session, undone = Session(nn.Identity(), [], []), []

    def broken() -> None:
        raise ValueError("broken")

    session.on_leave(lambda: undone.append("first"))
    session.on_leave(broken)
    session.on_leave(lambda: undone.append("last"))
    with pytest.raises(ValueError, match="broken"):
        session.leave()
    assert undone == ["last", "first"]
    session.leave()
    assert undone == ["last", "first"]


def test_a_remedy_that_cannot_finish_is_left_all_the_same() -> None:
    """An error at the end of a loop is noted, the other remedies finish, and what was borrowed is given back."""
    session, done = session_of(mlp(), table(), epochs=1), []
    loop = advisor.watch(range(1), session.model, session.optimizers[0], train=session.train, report=False)
    loop._session.on_finish(lambda: [][1])
    loop._session.on_finish(lambda: done.append("finished"))
    loop._session.on_leave(lambda: done.append("left"))
    for _ in loop:
        pass
    assert done == ["finished", "left"]
    (problem,) = loop.record.problems
    assert problem.startswith("end of the plan: IndexError")


@pytest.mark.parametrize("turned", ORDERS)
def test_filling_and_scaling_train(turned: bool) -> None:
    """Both want to see the batch that the model gets: neither waits for the other for ever."""
    x, y = table()
    x[3, 2] = math.nan
    record = watched(session_of(mlp(), (x, y), epochs=2), together("fill_missing", "standardise_inputs", turned=turned))
    assert record.problems == ()
    assert load_remedies()["standardise_inputs"].took_effect(record, Step(remedy="standardise_inputs"))


def test_scaling_measures_what_it_will_read() -> None:
    """A hook of the user's own that comes before it makes other numbers of the batch: those are what is scaled."""
    session = session_of(mlp(), table(), epochs=1, batch_size=24)
    session.model.register_forward_pre_hook(lambda _, args: (args[0] * 100 + 7,))
    seen: list[Tensor] = []
    assert isinstance(session.model, nn.Sequential)
    session.model[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    watched(session, Plan.of("standardise_inputs"))
    assert seen[0].mean(0).abs().max() < 1e-4
    assert (seen[0].std(0, correction=0) - 1).abs().max() < 1e-4


@pytest.mark.parametrize("turned", ORDERS)
def test_steps_that_are_held_back_are_not_bad(turned: bool) -> None:
    """A step without a gradient is looked at and left alone."""
    record = watched(
        session_of(mlp(), table(), epochs=2), together("accumulate_gradients", "skip_bad_steps", turned=turned)
    )
    assert record.problems == ()
    note: Any = record.facts["remedy.skip_bad_steps"]
    assert note["skipped"] == 0


def test_a_repaired_validation_gets_the_average() -> None:
    """The model is put into eval mode before it is asked whether it evaluates: from the first batch on."""

    def never_evaluates(made: Program) -> None:
        made.model.train()
        for x, y in made.train:
            made.step(x, y)
        made.validate()

    expected = run(program(mlp), usual, Plan.of("average_weights"))
    for turned in ORDERS:
        plan = together("average_weights", "restore_modes", turned=turned)
        assert same(run(program(mlp), never_evaluates, plan), expected)


@pytest.mark.parametrize("turned", ORDERS)
def test_the_output_is_freed_where_an_activation_is_inserted(turned: bool) -> None:
    """An activation that was inserted is not taken for the one at the end."""

    class Bent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.b(self.a(x)))

    model, (x, y) = Bent(), table()
    session = session_of(model, (x, y))
    for step in together("drop_output_activation", "insert_activation", turned=turned).steps:
        load_remedies()[step.remedy].apply(session, step)
    assert torch.equal(model(x), model.b.forward(F.relu(model.a.forward(x))))


def test_samples_without_a_target_go_before_others_are_mixed() -> None:
    """The target of a mixed batch has as many rows as its inputs had when they were mixed."""
    x, y = table()[0], torch.arange(24.0)
    y[5] = math.nan
    session = session_of(mlp(), (x, y))
    for step in together("mixup", "fill_missing").steps:
        load_remedies()[step.remedy].apply(session, step)
    batch: Any = (x, y)
    sizes: list[int] = []
    for change in session.batch_changes:
        batch = change(batch)
        sizes.append(len(batch[1]))
    assert sizes == [23] * len(session.batch_changes)


def test_norms_join_every_optimizer() -> None:
    """Adagrad, which makes its state when it is made, gets that of a grafted norm too."""
    model = mlp()
    optimizer = Adagrad(model.parameters(), initial_accumulator_value=0.5)
    load_remedies()["batch_norm"].apply(session_of(model, table(), optimizer), Step(remedy="batch_norm"))
    assert all("sum" in optimizer.state[parameter] for parameter in model.parameters())


def test_an_exchanged_loss_keeps_its_weight() -> None:
    """A term that was scaled down is still so when another function computes it."""
    target = F.one_hot(table()[1], 3).float()
    given = {"input": torch.randn(24, 3, requires_grad=True), "target": target}
    exchanged = Exchange(own=False)(LossArguments("mse_loss", given, scale=0.25))
    assert exchanged.name == "cross_entropy"
    assert exchanged.scale == 0.25


def test_a_loss_of_ones_own_is_changed_once() -> None:
    """What is exchanged for one of torch's functions is weighed where that is called, and not a second time."""

    class Distance(nn.Module):
        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            return ((output.softmax(1) - F.one_hot(target, 3)) ** 2).mean()

    model, (x, y), loss_fn = mlp(), table(), Distance()
    plan = Plan.of("use_cross_entropy", own=True) + Plan.of("loss_balance", term="cross_entropy", factor=0.5)
    optimizer, losses = torch.optim.SGD(model.parameters(), 0.1), []
    expected = -model(x).log_softmax(1)[torch.arange(len(y)), y].mean()
    for _ in advisor.watch(range(1), model, optimizer, loss_fn, plan=plan, report=False):
        loss = loss_fn(model(x), y)
        losses.append(float(loss.detach()))
        loss.backward()
        optimizer.step()
    assert losses == [pytest.approx(0.5 * float(expected.detach()), rel=1e-5)]


@pytest.mark.parametrize(
    "pair",
    [
        ("batch_norm", "layer_norm"),
        ("batch_norm", "group_norm"),
        ("standardise_each_image", "standardise_inputs"),
        ("standardise_inputs", "equalise_images"),
        ("equalise_images", "standardise_each_image"),
        ("augmentation", "augmentation"),
        ("dropout", "dropout"),
    ],
)
def test_what_undoes_another_is_refused(pair: tuple[str, str]) -> None:
    """Two normalisations, two scalings of the input, and the same remedy twice are an error of the plan."""
    with pytest.raises(PlanError, match="both change the"):
        check_plan(together(*pair))


def test_no_remedy_stands_in_a_plan_twice() -> None:
    """Every remedy has a part of its own beside those that several may change."""
    twice = [name for name in load_remedies() if own(name, "PARAMETERS", None) is None]
    for name in twice:
        with pytest.raises(PlanError, match="both change the"):
            check_plan(together(name, name))


def test_a_second_loop_over_the_same_model_has_what_lasts() -> None:
    """Nothing is scaled, grafted or widened twice, and the record says what was there already."""
    plan = Plan.of("learning_rate", factor=0.1) + Plan.of("batch_norm") + Plan.of("width", factor=2.0)
    session = session_of(mlp(), table())
    first = watched(session, plan)
    shapes = {name: value.shape for name, value in session.model.state_dict().items()}
    second = watched(session, plan)
    assert second.info.status == "finished"
    assert second.facts["plan_in_place"] == ["learning_rate", "batch_norm", "width"]
    assert session.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.01)
    assert {name: value.shape for name, value in session.model.state_dict().items()} == shapes
    assert "plan_in_place" not in first.facts


def test_a_new_optimizer_gets_the_plan_again() -> None:
    """A second phase with an optimizer of its own: its rate is scaled too, the model's graft stays one."""
    plan = Plan.of("learning_rate", factor=0.1) + Plan.of("batch_norm")
    session = session_of(mlp(), table())
    watched(session, plan)
    session.optimizers[0] = torch.optim.SGD(session.model.parameters(), lr=0.5)
    second = watched(session, plan)
    assert second.facts["plan_in_place"] == ["batch_norm"]
    assert session.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.05)
