"""The record of `advisor.watch` is complete on every way out, and no error of ours or of a store stops a training."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_loop import data, step
from torch import nn

import advisor
from advisor import assignment
from advisor.assignment import Assignment, Rival
from advisor.ending import Pruned
from advisor.store import Store


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
    rival = Rival(dict.fromkeys(range(9), 2.0), metric="val_accuracy")
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
