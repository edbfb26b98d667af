"""What a plan comes to in the loop, its loaders and its loss, line by line; and where an edit declines, why."""

from __future__ import annotations

from pathlib import Path

import pytest
from planned import NET, SGD, script, written

from advisor.patching.edits import known_edits
from advisor.plan import Plan
from advisor.remedies import load_remedies


def test_every_edit_writes_out_a_remedy_that_exists() -> None:
    """The file bears the remedy's name, and says in its first line what is written."""
    import importlib

    assert [name for name in known_edits() if name not in load_remedies()] == []
    for name in known_edits():
        assert (importlib.import_module(f"advisor.patching.edits.{name}").__doc__ or "").strip()


def test_the_number_of_epochs(tmp_path: Path) -> None:
    """In the range of the watched loop."""
    loop = (
        "for _ in advisor.watch(range(2), model, optimizer, loss_fn, train=train_loader, val=val_loader, report=False):"
    )
    expected = [f"-{loop}", "+" + loop.replace("range(2)", "range(4)")]
    assert (expected, []) == written(script(tmp_path), Plan.of("more_epochs", factor=2.0))


def test_the_number_of_epochs_and_the_schedule_that_hangs_on_it(tmp_path: Path) -> None:
    """One constant gives both, so both are stretched by it; a length of the schedule's own is declined."""
    with_constant = (
        (SGD, f"EPOCHS = 2\n{SGD}\nscheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS)"),
        ("range(2)", "range(EPOCHS)"),
        ("    with torch.no_grad", "    scheduler.step()\n    with torch.no_grad"),
    )
    plan = Plan.of("more_epochs", factor=2.0)
    assert (["-EPOCHS = 2", "+EPOCHS = 4"], []) == written(script(tmp_path, *with_constant), plan)
    path = script(tmp_path, *with_constant, ("range(EPOCHS)", "range(2)"))
    reason = "the schedule (CosineAnnealingLR) has a length of its own, which would have to change too"
    assert ([], [reason]) == written(path, plan)


@pytest.mark.parametrize(
    ("before", "after"),
    [("range(1, 3)", "range(1, 5)"), ("range(1, 2 + 1)", "range(1, 4 + 1)"), ("range(5, 2 + 5)", "range(5, 4 + 5)")],
)
def test_epochs_that_count_from_another_number(before: str, after: str, tmp_path: Path) -> None:
    """Two epochs become four, in the number that says how many there are."""
    path = script(tmp_path, ("range(2)", before))
    (old, new), reasons = written(path, Plan.of("more_epochs", factor=2.0))
    assert (old.replace(before, after)[1:], []) == (new[1:], reasons)


@pytest.mark.parametrize("given", ["range(0, 4, 2)", "range(1, 4 - 1)", "range(1, 1 + 2)", "range(1, len([1, 2]) + 1)"])
def test_epochs_that_are_computed_are_declined(given: str, tmp_path: Path) -> None:
    """A step, another sum, or a count that is no constant."""
    lines, reasons = written(script(tmp_path, ("range(2)", given)), Plan.of("more_epochs", factor=2.0))
    assert lines == []
    assert len(reasons) == 1


def test_gradients_are_cleared_before_the_backward_pass(tmp_path: Path) -> None:
    """By the name under which the loop steps."""
    path = script(tmp_path, ("        optimizer.zero_grad()\n", ""))
    assert (["+        optimizer.zero_grad()"], []) == written(path, Plan.of("clear_gradients"))
    text = path.read_text()
    assert text.index("loss_fn(model(x), y).backward()") < text.index("optimizer.step()")


def test_gradients_of_several_passes_are_cleared_after_the_step(tmp_path: Path) -> None:
    """The loop that accumulates goes on to do so."""
    path = script(
        tmp_path,
        ("        optimizer.zero_grad()\n", ""),
        ("        optimizer.step()", "        if i % 2:\n            optimizer.step()  # in every second pass"),
        ("for x, y in train_loader:", "for i, (x, y) in enumerate(train_loader):"),
    )
    assert (["+            optimizer.zero_grad()"], []) == written(path, Plan.of("clear_gradients"))


def test_modes_are_set_before_the_statements_that_train_and_validate(tmp_path: Path) -> None:
    """Also where these are in functions: the lines go into the epoch loop, which knows the model's name."""
    model = NET.replace("nn.ReLU()", "nn.Dropout(0.5)")
    path = script(tmp_path, (NET, model + "\nmodel.eval()"))
    plan = Plan.of("restore_modes")
    assert (["+    model.train()"], []) == written(path, Plan.of("restore_modes", which="train"))
    assert (["+    model.train()", "+    model.eval()"], []) == written(path, plan)
    path = script(tmp_path, (NET, model))
    assert (["+    model.train()", "+    model.eval()"], []) == written(path, plan)
    body = "    with torch.no_grad():\n        for x, y in val_loader:\n            loss_fn(model(x), y)\n"
    function = f"def validate():\n{body}\nfor _ in adv"
    path = script(tmp_path, (NET, model), (body, "    validate()\n"), ("for _ in adv", function))
    source = path.read_text()
    assert (["+    model.train()", "+    model.eval()"], []) == written(path, plan)
    assert "    validate()\n" in source


def test_clipping(tmp_path: Path) -> None:
    """A limit times the factor; without one the call goes; and a call of its own where there was none."""
    clip = "        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1e-3)\n"
    path = script(tmp_path, ("        optimizer.step()", f"{clip}        optimizer.step()"))
    line = clip.rstrip()
    assert ([f"-{line}", "+" + line.replace("1e-3", "0.05")], []) == written(
        path, Plan.of("loosen_clipping", factor=50.0)
    )
    assert ([f"-{line}"], []) == written(path, Plan.of("loosen_clipping"))
    added = ["+        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)"]
    assert (added, []) == written(script(tmp_path), Plan.of("clip_gradients", max_norm=0.5))


def test_the_loaders_and_the_loss(tmp_path: Path) -> None:
    """The batch size of training, the reduction of the loss; smoothing in training only."""
    line = "train_loader = DataLoader(TensorDataset(x, y), batch_size=16)"
    expected = [f"-{line}", "+" + line.replace("16", "8")]
    assert (expected, []) == written(script(tmp_path), Plan.of("batch_size", size=8))
    loss = "loss_fn = nn.CrossEntropyLoss()"
    path = script(tmp_path, (loss, 'loss_fn = nn.CrossEntropyLoss(reduction="sum")'))
    expected = ['-loss_fn = nn.CrossEntropyLoss(reduction="sum")', f"+{loss}"]
    assert (expected, []) == written(path, Plan.of("mean_reduction"))
    plan = Plan.of("label_smoothing", smoothing=0.2)
    call = "        loss_fn(model(x), y).backward()"
    smoothed = "        nn.functional.cross_entropy(model(x), y, label_smoothing=0.2).backward()"
    assert ([f"-{call}", f"+{smoothed}"], []) == written(script(tmp_path), plan)
    path = script(tmp_path, (call, smoothed.replace(", label_smoothing=0.2", "")))
    assert (["-" + smoothed.replace(", label_smoothing=0.2", ""), f"+{smoothed}"], []) == written(path, plan)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("batch_size=16)", "batch_size=16, shuffle=True)"),
        ("batch_size=16, shuffle=False)", "batch_size=16, shuffle=True)"),
        ("16, False)", "16, True)"),
    ],
)
def test_shuffling(before: str, after: str, tmp_path: Path) -> None:
    """One word in the call that makes the training loader."""
    line = "train_loader = DataLoader(TensorDataset(x, y), "
    path = script(tmp_path, (f"{line}batch_size=16)", line + before))
    assert ([f"-{line}{before}", f"+{line}{after}"], []) == written(path, Plan.of("shuffle"))


def test_a_sampler_of_the_users_own_is_left(tmp_path: Path) -> None:
    """It decides the order, whatever shuffle= says."""
    own = "batch_size=16, sampler=torch.utils.data.SequentialSampler(x))"
    changed, (reason,) = written(script(tmp_path, ("batch_size=16)", own)), Plan.of("shuffle"))
    assert changed == []
    assert reason == "line 10 passes a sampler, which decides the order"


def test_what_acts_at_run_time_stays_in_the_plan(tmp_path: Path) -> None:
    """A remedy without an edit."""
    reason = "it acts while the training runs; advisor has no edit of the source that says the same"
    assert ([], [reason]) == written(script(tmp_path), Plan.of("early_stopping", patience=1))
