"""`advisor.watch` sees the loop as it is written, and its record is complete on every way out."""

from __future__ import annotations

import gc
import inspect
import itertools
import os
import signal
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import advisor
from advisor import assignment
from advisor.assignment import Assignment, Rival
from advisor.ending import Pruned
from advisor.store import Store


def data(seed: int = 0, n: int = 64) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=generator)
    return TensorDataset(x, (x[:, 0] > 0).long())


@pytest.fixture
def parts() -> tuple[nn.Module, torch.optim.Optimizer, DataLoader[Any], DataLoader[Any]]:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    return model, optimizer, DataLoader(data(), 16, shuffle=True), DataLoader(data(1), 32)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor) -> float:
    optimizer.zero_grad()
    loss = functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


def test_train_loss_is_the_mean_over_all_steps_of_the_epoch(parts: Any) -> None:
    """`train_loss` equals what the loop itself would have averaged."""
    model, optimizer, train, _ = parts
    means = []
    watch = advisor.watch(range(3), model, optimizer, report=False)
    for _ in watch:
        means.append(np.mean([step(model, optimizer, x, y) for x, y in train]))
    assert watch.record.epochs["train_loss"].to_numpy() == pytest.approx(means, rel=1e-6)
    assert watch.record.info.status == "finished"


def test_validation_is_seen_as_the_tutorial_writes_it(parts: Any) -> None:
    """A `test()` with reduction="sum" and argmax: mean loss and accuracy come out as the function computes them."""
    model, optimizer, train, val = parts
    losses, scores = [], []

    def test() -> None:
        model.eval()
        total, right = 0.0, 0
        with torch.no_grad():
            for x, y in val:
                output = model(x)
                total += functional.cross_entropy(output, y, reduction="sum").item()
                right += int((output.argmax(1) == y).sum())
        losses.append(total / len(val.dataset))
        scores.append(right / len(val.dataset))

    watch = advisor.watch(range(2), model, optimizer, report=False)
    for _ in watch:
        model.train()
        for x, y in train:
            step(model, optimizer, x, y)
        test()
    epochs = watch.record.epochs
    assert epochs["val_loss"].to_numpy() == pytest.approx(losses, rel=1e-5)
    assert epochs["val_accuracy"].to_numpy() == pytest.approx(scores)
    assert watch.record.facts["val_samples"] == len(val.dataset)


def test_validation_without_a_loss_is_judged_by_the_batch(parts: Any) -> None:
    """A loop that only counts right answers still gets val_loss and val_accuracy."""
    model, optimizer, train, val = parts
    scores = []
    watch = advisor.watch(range(2), model, optimizer, report=False)
    for _ in watch:
        model.train()
        for x, y in train:
            step(model, optimizer, x, y)
        model.eval()
        with torch.no_grad():
            scores.append(sum(int((model(x).argmax(1) == y).sum()) for x, y in val) / len(val.dataset))
    assert watch.record.epochs["val_accuracy"].to_numpy() == pytest.approx(scores)


def test_an_evaluation_on_the_training_data_is_not_taken_for_validation(parts: Any) -> None:
    """Accuracy on the training loader under no_grad leaves `val_loss` alone."""
    model, optimizer, train, val = parts
    expected = []
    watch = advisor.watch(range(2), model, optimizer, report=False)
    for _ in watch:
        for x, y in train:
            step(model, optimizer, x, y)
        with torch.no_grad():
            for x, y in train:
                functional.cross_entropy(model(x), y)
            values = [functional.cross_entropy(model(x), y).item() for x, y in val]
        expected.append(np.mean(values))
    assert watch.record.epochs["val_loss"].to_numpy() == pytest.approx(expected, rel=1e-6)


def test_one_loader_for_both_is_told_apart_by_the_grad_mode(parts: Any) -> None:
    """The same object as train and val: losses with gradients train, losses without validate."""
    model, optimizer, train, _ = parts
    trained, validated = [], []
    watch = advisor.watch(range(2), model, optimizer, train=train, val=train, report=False)
    for _ in watch:
        trained.append(np.mean([step(model, optimizer, x, y) for x, y in train]))
        with torch.no_grad():
            validated.append(np.mean([functional.cross_entropy(model(x), y).item() for x, y in train]))
    epochs = watch.record.epochs
    assert epochs["train_loss"].to_numpy() == pytest.approx(trained, rel=1e-6)
    assert epochs["val_loss"].to_numpy() == pytest.approx(validated, rel=1e-6)


def test_where_the_loop_never_validates_watch_does(parts: Any) -> None:
    """Own evaluation on `val=` gives what an evaluation by hand gives."""
    model, optimizer, train, val = parts
    expected = []
    watch = advisor.watch(range(2), model, optimizer, train=train, val=val, report=False)
    for _ in watch:
        for x, y in train:
            step(model, optimizer, x, y)
        with torch.no_grad():
            x, y = val.dataset.tensors
            expected.append((model(x).argmax(1) == y).float().mean().item())
    assert watch.record.epochs["val_accuracy"].to_numpy() == pytest.approx(expected)
    assert watch.record.facts["own_evaluation"] is True


class Both(nn.Module):
    """Returns (logits, loss), as language models do, with a loss of its own making."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.layer(x)
        return logits, -logits.log_softmax(1).gather(1, y[:, None]).mean()


def test_a_model_that_returns_its_own_loss_is_understood() -> None:
    """No loss function is called anywhere: the loss is what backward began at."""
    model = Both()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, y = data().tensors
    losses = []
    watch = advisor.watch(range(150), model, optimizer, report=False)
    for _ in watch:
        optimizer.zero_grad()
        _, loss = model(x, y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    record = watch.record
    assert record.steps["step_loss"].iloc[0] == pytest.approx(losses[0])
    assert record.epochs["train_loss"].iloc[-1] == pytest.approx(losses[-1], abs=0.01)


def test_two_optimizers_make_one_step(parts: Any) -> None:
    """A round of both is one step; the norms of both appear in one sample."""
    model, _, train, _ = parts
    both = [torch.optim.SGD(model[0].parameters(), 0.1), torch.optim.SGD(model[2].parameters(), 0.2)]
    watch = advisor.watch(range(2), model, both, report=False)
    for _ in watch:
        for x, y in train:
            functional.cross_entropy(model(x), y).backward()
            for optimizer in both:
                optimizer.step()
                optimizer.zero_grad()
    record = watch.record
    assert record.last_step == 2 * len(train)
    assert record.series["lr"].values[0].tolist() == pytest.approx([0.1, 0.2])
    assert record.series["weight_norm"].axis == ("0", "2")
    assert (record.series["weight_norm"].values > 0).all()


def test_norms_and_update_ratio_are_those_of_the_step() -> None:
    """One linear layer, SGD: ‖Δw‖ = lr ‖g‖, and all three norms are as computed by hand."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    x, y = torch.randn(5, 3), torch.tensor([0, 1, 0, 1, 0])
    watch = advisor.watch(range(1), model, optimizer, report=False)
    for _ in watch:
        weight = torch.cat([p.detach().reshape(-1) for p in model.parameters()]).norm().item()
        functional.cross_entropy(model(x), y).backward()
        gradient = torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None]).norm().item()
        optimizer.step()
    series = watch.record.series
    assert series["grad_norm"].values[0, 0] == pytest.approx(gradient, rel=1e-5)
    assert series["weight_norm"].values[0, 0] == pytest.approx(weight, rel=1e-5)
    assert series["update_ratio"].values[0, 0] == pytest.approx(0.5 * gradient / weight, rel=1e-4)


def test_dead_units_are_counted_on_the_clean_pass() -> None:
    """Two of four hidden units have a bias that no input overcomes: half of layer 0 is dead."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([-100.0, -100.0, 100.0, 100.0]))
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    watch = advisor.watch(range(2), model, optimizer, report=False)
    for _ in watch:
        for x, y in DataLoader(data(), 16):
            step(model, optimizer, x, y)
    dead = watch.record.series["dead_units"]
    assert dead.axis == ("0", "2")
    assert dead.values[-1, 0] == 0.5


def test_a_loop_over_steps_becomes_windows(parts: Any) -> None:
    """1,000 single steps are 100 windows of 10, not 1,000 epochs."""
    model, optimizer, _, _ = parts
    x, y = data().tensors
    watch = advisor.watch(range(1000), model, optimizer, report=False)
    for _ in watch:
        step(model, optimizer, x, y)
    assert watch.record.info.step_based
    assert 95 <= watch.record.epochs_seen <= 101
    assert watch.record.last_step == 1000


def test_an_endless_loop_ends_by_break_with_a_complete_record(parts: Any) -> None:
    """`break` is recorded as stopped, and what came after the last full window is there."""
    model, optimizer, _, _ = parts
    x, y = data().tensors
    watch = advisor.watch(itertools.count(), model, optimizer, report=False)
    for i in watch:
        step(model, optimizer, x, y)
        if i == 249:
            break
    assert watch.record.info.status == "stopped"
    assert watch.record.last_step == 250
    assert Store().record(watch.record.info.id).info.status == "stopped"


@pytest.mark.parametrize(
    ("error", "status"), [(ZeroDivisionError, "failed"), (KeyboardInterrupt, "failed"), (SystemExit, "failed")]
)
def test_an_exception_in_the_loop_leaves_a_complete_record(parts: Any, error: type[BaseException], status: str) -> None:
    """The user's exception comes out unchanged; the store holds the run to its last step."""
    model, optimizer, train, _ = parts
    watch = advisor.watch(range(5), model, optimizer, report=False)

    def loop() -> None:
        for epoch in watch:
            for x, y in train:
                step(model, optimizer, x, y)
            if epoch == 1:
                raise error("from the loop")

    with pytest.raises(error, match="from the loop"):
        loop()
    stored = Store().record(watch.record.info.id)
    assert stored.info.status == status
    assert stored.last_step == 2 * len(train)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "interrupted")])
def test_a_signal_completes_the_record_and_still_ends_the_process(parts: Any, number: int, status: str) -> None:
    """Ctrl-C raises KeyboardInterrupt as ever; SIGTERM kills as ever; the record says interrupted."""
    model, optimizer, train, _ = parts
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for epoch in advisor.watch(range(50), model, optimizer, report=False):
                for x, y in train:
                    step(model, optimizer, x, y)
                if epoch == 3:
                    os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            os.write(writing, b"k")
        finally:
            os._exit(0)
    _, how = os.waitpid(child, 0)
    os.close(writing)
    said = os.read(reading, 1)
    os.close(reading)
    ended = Store().run_infos()[-1][0]
    assert ended.status == status
    assert ended.epochs == 50
    if number == signal.SIGTERM:
        assert os.WTERMSIG(how) == signal.SIGTERM
    else:
        assert said == b"k"


def test_log_adds_numbers_and_a_number_that_is_none_harms_nothing(parts: Any) -> None:
    """`watch.log` takes floats and one-element tensors; what is neither is noted, not raised."""
    model, optimizer, train, _ = parts
    watch = advisor.watch(range(2), model, optimizer, metric="mine", report=False)
    for epoch in watch:
        for x, y in train:
            step(model, optimizer, x, y)
        watch.log(mine=epoch + 0.5, tensor=torch.tensor([2.0]), wrong="text")  # type: ignore[arg-type]
    steps = watch.record.steps
    assert steps["mine"].dropna().tolist() == [0.5, 1.5]
    assert steps["tensor"].dropna().tolist() == [2.0, 2.0]
    assert any("watch.log(wrong=…)" in problem for problem in watch.record.problems)


def test_an_instrument_that_raises_is_detached_and_named(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training goes on; the record says which instrument failed, once."""
    from advisor.instruments.gradients import Gradients

    def broken(self: Any, live: Any, optimizer: Any) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(Gradients, "before_step", broken)
    model, optimizer, train, _ = parts
    watch = advisor.watch(range(2), model, optimizer, report=False)
    for _ in watch:
        for x, y in train:
            step(model, optimizer, x, y)
    assert [p.split(" (")[0] for p in watch.record.problems] == [
        "instrument gradients: RuntimeError: broken on purpose"
    ]
    assert "grad_norm" not in watch.record.series
    assert watch.record.info.status == "finished"


def test_an_error_at_the_end_of_an_epoch_stays_ours(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured there is fenced as a whole; epochs go on being counted."""
    from advisor.training_losses import TrainingLosses

    def broken(self: Any) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(TrainingLosses, "take", broken)
    model, optimizer, train, _ = parts
    watch = advisor.watch(range(2), model, optimizer, report=False)
    for _ in watch:
        for x, y in train:
            step(model, optimizer, x, y)
    assert watch.record.info.status == "finished"
    assert [p.split(" (")[0] for p in watch.record.problems] == ["end of an epoch: RuntimeError: broken on purpose"] * 2


def test_a_pruned_run_is_complete(parts: Any) -> None:
    """Stopped against a rival, a run still leaves its plan's last facts and its diagnosis."""
    model, optimizer, train, val = parts
    rival = Rival(dict.fromkeys(range(9), 2.0), margin=0.1, metric="val_accuracy")
    assignment.assign(Assignment(plan=advisor.Plan.of("early_stopping", patience=5), rival=rival, quiet=True))
    watch = advisor.watch(range(9), model, optimizer, train=train, val=val)

    def loop() -> None:
        for _ in watch:
            for x, y in train:
                step(model, optimizer, x, y)

    with pytest.raises(Pruned, match="0"):
        loop()
    stored = Store().record(watch.record.info.id)
    assert stored.info.status == "pruned"
    assert stored.epochs_seen == rival.patience
    assert "best_weights_epoch" in stored.facts
    assert Store().diagnosis(stored.info.id) is not None


def test_a_run_is_readable_from_another_connection_while_it_goes_on(parts: Any) -> None:
    """After the first epoch a second reader sees the run as running."""
    model, optimizer, train, _ = parts
    for epoch in advisor.watch(range(2), model, optimizer, report=False):
        for x, y in train:
            step(model, optimizer, x, y)
        if epoch == 1:
            infos = Store(create=False).run_infos()
            assert [info.status for info, _ in infos] == ["running"]


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        for i in range(40):
            yield torch.full((4,), float(i % 3)), i % 2


def test_iterable_data_sets_are_watched() -> None:
    """No length, no index: the loss is there, and no own pass asks for what cannot be had."""
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loader = DataLoader(Endless(), 8)
    watch = advisor.watch(range(2), model, optimizer, train=loader, val=loader, report=False)
    for _ in watch:
        for x, y in loader:
            step(model, optimizer, x, y)
    assert watch.record.problems == ()
    assert len(watch.record.epochs["train_loss"]) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m, o: advisor.watch(range(2), "model", o), "expected a torch.nn.Module as model, found str"),
        (lambda m, o: advisor.watch(range(2), m, []), "expected a torch.optim.Optimizer or a list of them, found none"),
        (lambda m, o: advisor.watch(range(2), nn.ReLU(), o), "the model has no parameters"),
        (lambda m, o: advisor.watch(range(2), m, o, train=[]), "the training loader is empty"),
        (lambda m, o: advisor.watch(range(2), m, o, mode="up"), "expected 'min' or 'max', found 'up'"),
        (lambda m, o: advisor.watch(range(2), m, o, plan="missing.toml"), "cannot read the plan"),
        (lambda m, o: advisor.watch(range(2), m, o, plan=advisor.Plan.of("nothing")), "there is no remedy 'nothing'"),
    ],
)
def test_wrong_arguments_are_refused_before_the_training(parts: Any, make: Callable[..., Any], message: str) -> None:
    """Each mistake is named before the first epoch."""
    with pytest.raises(advisor.AdvisorError, match=message):
        make(parts[0], parts[1])


def test_a_store_that_cannot_be_written_does_not_stop_the_training(
    parts: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The record goes to the temporary folder, and the message says so."""
    broken = tmp_path / "broken.db"
    broken.write_text("this is no database, it is a text of more than a hundred bytes " * 3)
    monkeypatch.setenv("ADVISOR_STORE", str(broken))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    model, optimizer, train, _ = parts
    for _ in advisor.watch(range(2), model, optimizer, report=False):
        for x, y in train:
            step(model, optimizer, x, y)
    assert broken.read_text().startswith("this is no database")
    said = capsys.readouterr().err
    assert "expected an advisor store, found something else" in said
    kept = next(tmp_path.glob("advisor-*/advisor.db"))
    assert Store(str(kept), create=False).run_infos()[-1][0].status == "finished"


def test_a_parameter_group_that_comes_later_lengthens_the_axis(parts: Any) -> None:
    """`add_param_group` in the middle of a run: its rate was not known before, and the record can be read back."""
    model, _, train, _ = parts
    optimizer = torch.optim.SGD(model[2].parameters(), 0.1)
    watch = advisor.watch(range(2), model, optimizer, report=False)
    for epoch in watch:
        if epoch == 1:
            optimizer.add_param_group({"params": list(model[0].parameters()), "lr": 0.01})
        for x, y in train:
            step(model, optimizer, x, y)
    lr = watch.record.series["lr"]
    assert lr.axis == ("0", "1")
    assert np.isnan(lr.values[0, 1])
    assert lr.values[-1].tolist() == pytest.approx([0.1, 0.01])
    stored = Store().record(watch.record.info.id)
    assert stored.series["lr"].axis == ("0", "1")
    assert np.array_equal(stored.series["lr"].values, lr.values, equal_nan=True)


def test_a_list_is_validation_data_after_a_loader_that_was_cut_short(parts: Any) -> None:
    """Training on the first batches of a stream, then evaluating on batches held in a list."""
    model, optimizer, train, val = parts
    held, losses = list(val), []
    watch = advisor.watch(range(2), model, optimizer, report=False)
    for _ in watch:
        model.train()
        for x, y in itertools.islice(train, 2):
            step(model, optimizer, x, y)
        model.eval()
        with torch.no_grad():
            losses.append(np.mean([functional.cross_entropy(model(x), y).item() for x, y in held]))
    assert watch.record.epochs["val_loss"].to_numpy() == pytest.approx(losses, rel=1e-6)


def test_of_several_losses_the_main_one_is_compared(parts: Any) -> None:
    """A second term on targets of the loop's own: validation is that of the batch's target, not the mean of the two."""
    model, optimizer, train, val = parts
    losses = []
    watch = advisor.watch(range(2), model, optimizer, report=False)
    for _ in watch:
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            output = model(x)
            (functional.mse_loss(output, torch.zeros_like(output)) + functional.cross_entropy(output, y)).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for x, y in val:
                functional.mse_loss(model(x), torch.zeros(len(x), 2))
                losses.append(functional.cross_entropy(model(x), y).item())
    means = np.array(losses).reshape(2, -1).mean(1)
    assert watch.record.info.task == "multiclass"
    assert watch.record.epochs["val_loss"].to_numpy() == pytest.approx(means, rel=1e-6)


def test_a_rate_of_counts_has_no_score(parts: Any) -> None:
    """Poisson regression on the log of the rate: an R² of that against the counts would mean nothing."""
    model, optimizer, train, _ = parts
    watch = advisor.watch(range(2), model, optimizer, report=False)
    for _ in watch:
        for x, y in train:
            optimizer.zero_grad()
            functional.poisson_nll_loss(model(x)[:, 0], y.float()).backward()
            optimizer.step()
    assert watch.record.info.task is None
    assert "train_r2" not in watch.record.series


def test_a_loss_under_a_name_of_the_users_own_is_seen(parts: Any) -> None:
    """`from torch.nn.functional import cross_entropy`, and `criterion = cross_entropy` in a function: task and
    validation are known all the same, and afterwards it is torch's own function, signature and all."""
    criterion = cross_entropy
    before = cross_entropy.__code__, inspect.signature(cross_entropy)
    model, optimizer, train, val = parts
    watch = advisor.watch(range(1), model, optimizer, report=False)
    for _ in watch:
        assert inspect.signature(criterion) == before[1]
        for x, y in train:
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for x, y in val:
                criterion(model(x), y)
    assert watch.record.info.task == "multiclass"
    assert "val_loss" in watch.record.series
    assert (cross_entropy.__code__, inspect.signature(cross_entropy)) == before
    assert not hasattr(cross_entropy, "__wrapped__")


def test_a_loss_that_is_no_plain_function_is_left_alone(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch that writes one otherwise, with a closure or in C: the loop runs, and the others are heard."""
    model, optimizer, train, _ = parts
    plain = functional.mse_loss
    monkeypatch.setattr(functional, "mse_loss", lambda *args, **kwargs: plain(*args, **kwargs))
    monkeypatch.setattr(functional, "ctc_loss", torch.ctc_loss)
    closed = functional.mse_loss
    watch = advisor.watch(range(1), model, optimizer, report=False)
    for _ in watch:
        for x, y in train:
            step(model, optimizer, x, y)
    assert watch.record.info.task == "multiclass"
    assert functional.mse_loss is closed


def test_no_graph_outlives_its_step() -> None:
    """A loss with a third tensor of the model's leaves nothing behind that only a collection of garbage frees."""
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(8, 4)
    alive: list[weakref.ref[torch.Tensor]] = []
    gc.collect()
    gc.disable()
    try:
        for _ in advisor.watch(range(3), model, optimizer, report=False):
            for _ in range(10):
                optimizer.zero_grad()
                third = model(x + 2)
                loss = functional.triplet_margin_loss(model(x), model(x + 1), third)
                loss.backward()
                optimizer.step()
                alive.append(weakref.ref(third))
        kept = sum(ref() is not None for ref in alive)
    finally:
        gc.enable()
    assert kept <= 2  # the loop's own variable, and the loss that is computed again
