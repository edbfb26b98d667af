"""What a plan comes to in the source, line by line; and where an edit declines, why."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
import torch
from planned import script, written

from advisor.patching.edits import known_edits
from advisor.plan import Plan
from advisor.remedies import load_remedies

SGD = "optimizer = torch.optim.SGD(model.parameters(), lr=0.01)"
NET = "model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))"
DEEP = "model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))"
HEAD = "optimizer = torch."


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_every_edit_writes_out_a_remedy_that_exists() -> None:
    """The file bears the remedy's name, and says in its first line what is written."""
    import importlib

    assert [name for name in known_edits() if name not in load_remedies()] == []
    for name in known_edits():
        assert (importlib.import_module(f"advisor.patching.edits.{name}").__doc__ or "").strip()


@pytest.mark.parametrize(
    ("plan", "before", "after"),
    [
        (Plan.of("learning_rate", factor=10.0), SGD, SGD.replace("0.01", "0.1")),
        (
            Plan.of("learning_rate", lr=0.2),
            "optimizer = torch.optim.SGD(model.parameters(), 1e-2, 0.9)  # tuned",
            "optimizer = torch.optim.SGD(model.parameters(), 0.2, 0.9)  # tuned",
        ),
        (
            Plan.of("learning_rate", factor=10.0),
            "optimizer = torch.optim.AdamW(model.parameters())",
            "optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)",
        ),
        (
            Plan.of("weight_decay", weight_decay=0.001),
            SGD,
            "optimizer = torch.optim.SGD(model.parameters(), lr=0.01, weight_decay=0.001)",
        ),
        (
            Plan.of("weight_decay", weight_decay=0.001),
            "optimizer = torch.optim.SGD(model.parameters(), weight_decay=1e-5, lr=0.01)",
            "optimizer = torch.optim.SGD(model.parameters(), weight_decay=0.001, lr=0.01)",
        ),
        (
            Plan.of("weight_decay", weight_decay=0.01),
            "optimizer = torch.optim.Adam(model.parameters(), lr=0.01)",
            "optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.01, decoupled_weight_decay=True)",
        ),
        (
            Plan.of("optimizer", kind="adamw", lr=0.003),
            "optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)",
            "optimizer = torch.optim.AdamW(model.parameters(), lr=0.003, weight_decay=0.0)",
        ),
        (
            Plan.of("optimizer", kind="sgd", lr=0.1, momentum=0.8) + Plan.of("weight_decay", weight_decay=0.001),
            "optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.99), lr=0.01)",
            "optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.8, weight_decay=0.001)",
        ),
    ],
    ids=str,
)
def test_the_optimizer(plan: Plan, before: str, after: str, tmp_path: Path) -> None:
    """Its class and its arguments, in the call that made it."""
    assert written(script(tmp_path, (SGD, before)), plan) == ([f"-{before}", f"+{after}"], [])


def test_a_constant_is_changed_where_it_is_set(tmp_path: Path) -> None:
    """A module's constant that nothing but this call, and a print, uses."""
    path = script(tmp_path, (SGD, 'LR = 0.01\nprint("lr", LR)\n' + SGD.replace("0.01", "LR")))
    assert (["-LR = 0.01", "+LR = 0.1"], []) == written(path, Plan.of("learning_rate", factor=10.0))


def test_a_constant_that_others_use_stays(tmp_path: Path) -> None:
    """It is replaced in this place only."""
    call = SGD.replace("0.01", "LR")
    path = script(tmp_path, (SGD, f"LR = 0.01\nother = LR / 2\n{call}"))
    expected = [f"-{call}", "+" + call.replace("LR)", "0.1)")]
    assert (expected, []) == written(path, Plan.of("learning_rate", factor=10.0))


def test_the_default_of_an_option(tmp_path: Path) -> None:
    """What argparse gives where the command line says nothing, unless something else uses the option."""
    option = 'parser.add_argument("--top-lr", "-l", type=float, default=0.01)'
    parser = f"import argparse\nparser = argparse.ArgumentParser()\n{option}\nargs = parser.parse_args([])\n"
    call = SGD.replace("0.01", "args.top_lr")
    plan = Plan.of("learning_rate", factor=10.0)
    expected = [f"-{option}", "+" + option.replace("0.01", "0.1")]
    assert (expected, []) == written(script(tmp_path, (SGD, f"{parser}{call}\nprint(args.top_lr)")), plan)
    reason = "lr is `args.top_lr`, which line 18 uses too"
    assert ([], [reason]) == written(script(tmp_path, (SGD, f"{parser}{call}\nhalf = args.top_lr / 2")), plan)


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (
            "lr = float('0.01')\noptimizer = torch.optim.SGD(model.parameters(), lr=lr)",
            "lr is `lr`, which is no constant that is set once to a number",
        ),
        (
            "optimizer = torch.optim.SGD(model.parameters(), lr=min(0.01, 1))",
            "lr is computed at line 13: `min(0.01, 1)`",
        ),
        (
            "options = {'lr': 0.01}\noptimizer = torch.optim.SGD(model.parameters(), **options)",
            "line 14 hides arguments in `**options`",
        ),
        (
            'optimizer = torch.optim.SGD([{"params": model.parameters(), "lr": 0.01}])',
            "line 13 gives param_groups rates of their own",
        ),
        (
            "optimizer = [torch.optim.SGD(model.parameters(), lr=0.01) for _ in range(2)][0]",
            "line 13 makes 2 optimizers",
        ),
    ],
)
def test_what_is_not_certain_is_declined(before: str, reason: str, tmp_path: Path) -> None:
    """Computed rates, hidden arguments, and calls that make more than the one."""
    assert ([], [reason]) == written(script(tmp_path, (SGD, before)), Plan.of("learning_rate", factor=10.0))


def test_what_another_file_makes_is_declined(tmp_path: Path) -> None:
    """Only the script itself is edited."""
    (tmp_path / "parts_of_it.py").write_text(
        "import torch\n\ndef made(model):\n    return torch.optim.SGD(model.parameters(), lr=0.01)\n"
    )
    path = script(
        tmp_path,
        (
            SGD,
            f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nfrom parts_of_it import made\noptimizer = made(model)",
        ),
    )
    reason = "the optimizer is made in parts_of_it.py:4, outside of the script"
    assert ([], [reason]) == written(path, Plan.of("learning_rate", factor=10.0))


def test_a_class_that_was_imported_alone_is_declined(tmp_path: Path) -> None:
    """Another would need an import."""
    path = script(tmp_path, (SGD, "from torch.optim import SGD\noptimizer = SGD(model.parameters(), lr=0.01)"))
    reason = "line 14 names SGD without torch.optim, so another would need an import"
    assert ([], [reason]) == written(path, Plan.of("optimizer", kind="adamw"))


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


def test_the_default_of_a_parameter(tmp_path: Path) -> None:
    """What a function that makes the optimizer says for a rate that it uses once."""
    before = (
        "def made(model, lr=0.01):\n    return torch.optim.SGD(model.parameters(), lr=lr)\n\noptimizer = made(model)"
    )
    plan = Plan.of("learning_rate", factor=10.0)
    expected = ["-def made(model, lr=0.01):", "+def made(model, lr=0.1):"]
    assert (expected, []) == written(script(tmp_path, (SGD, before)), plan)
    twice = before.replace("    return", "    print(lr / 2)\n    return")
    reason = "lr is `lr`, which is no constant that is set once to a number"
    assert ([], [reason]) == written(script(tmp_path, (SGD, twice)), plan)


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


def test_layers_in_a_literal_sequential(tmp_path: Path) -> None:
    """A norm behind the layer that has one grafted, dropout in front of the next, in the sizes of the run."""
    plan = Plan.of("batch_norm") + Plan.of("dropout", rate=0.2)
    after = "model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))"
    assert ([f"-{NET}", f"+{after}"], []) == written(script(tmp_path), plan)


def test_layer_norm_in_a_literal_sequential(tmp_path: Path) -> None:
    """Behind the layer that has one grafted, in its size."""
    after = "model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2))"
    assert ([f"-{NET}", f"+{after}"], []) == written(script(tmp_path), Plan.of("layer_norm"))


def test_layers_keep_to_the_layout(tmp_path: Path) -> None:
    """Where each element has its line, so has a new one; a comment stays with its element."""
    before = "model = nn.Sequential(\n    nn.Linear(4, 8),\n    nn.ReLU(),  # why\n    nn.Linear(8, 2),\n)"
    plan = Plan.of("dropout", rate=0.2) + Plan.of("batch_norm")
    expected = ["+    nn.BatchNorm1d(8),", "+    nn.Dropout(0.2),"]
    path = script(tmp_path, (NET, before.replace("  # why", "")))
    assert (expected, []) == written(path, plan)


def test_layers_within_a_class(tmp_path: Path) -> None:
    """A Sequential that is a part of the model is one as well."""
    net = """\
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

        def forward(self, x):
            return self.net(x)

    model = Net()"""
    changed, reasons = written(script(tmp_path, (NET, dedent(net))), Plan.of("batch_norm"))
    (line,) = [text for text in changed if text.startswith("+")]
    layers = "torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)"
    assert line == f"+        self.net = torch.nn.Sequential({layers})"
    assert reasons == []


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (
            "parts = [nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)]\nmodel = nn.Sequential(*parts)",
            "0 is not written out in the nn.Sequential of line 13",
        ),
        (
            "from torch.nn import Linear\nmodel = nn.Sequential(Linear(4, 8), nn.ReLU(), Linear(8, 2))",
            "line 13 names Linear without its module, so others would need an import",
        ),
        (
            "block = lambda i, o: nn.Sequential(nn.Linear(i, o), nn.ReLU())\n"
            "model = nn.Sequential(block(4, 8), block(8, 8), nn.Linear(8, 2))",
            "line 12 makes 2 layers, of which '0' is one",
        ),
    ],
)
def test_layers_that_are_not_written_out(before: str, reason: str, tmp_path: Path) -> None:
    """Built in a loop, a function or elsewhere: another layer would have no place of its own."""
    assert ([], [reason]) == written(script(tmp_path, (NET, before)), Plan.of("batch_norm"))


def test_an_own_dropout_gets_its_rate(tmp_path: Path) -> None:
    """Two layers that one line makes get it once."""
    before = "model = nn.Sequential(nn.Linear(4, 8), *[nn.Dropout(0.1) for _ in range(2)], nn.Linear(8, 2))"
    expected = [f"-{before}", "+" + before.replace("0.1", "0.5")]
    assert (expected, []) == written(script(tmp_path, (NET, before)), Plan.of("dropout", rate=0.5))


def test_activations_between_layers(tmp_path: Path) -> None:
    """Where two linear layers follow each other."""
    before = "model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))"
    expected = [f"-{before}", "+model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))"]
    plan = Plan.of("insert_activation", kind="tanh")
    assert (expected, []) == written(script(tmp_path, (NET, before)), plan)


def test_hidden_activations_are_swapped(tmp_path: Path) -> None:
    """A layer that is made, with what was given to it, and a function that is called."""
    net = """\
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.out = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)
            self.act = nn.ReLU(inplace=True)

        def forward(self, x):
            x = self.act(self.one(x))
            return self.out(nn.functional.relu(self.two(x)))

    model = Net()"""
    plan = Plan.of("activation", kind="leaky_relu")
    expected = [
        "-        self.act = nn.ReLU(inplace=True)",
        "+        self.act = nn.LeakyReLU()",
        "-        return self.out(nn.functional.relu(self.two(x)))",
        "+        return self.out(nn.functional.leaky_relu(self.two(x)))",
    ]
    assert (expected, []) == written(script(tmp_path, (NET, dedent(net))), plan)
    method = net.replace("nn.functional.relu(self.two(x))", "self.two(x).relu()")
    lines, reasons = written(script(tmp_path, (NET, dedent(method))), plan)
    assert lines == []
    assert ["calls relu as `self.two(x).relu()`"] == [reason.split(" ", 2)[2] for reason in reasons]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            NET,
            NET.replace("(8, 2))", "(8, 2), nn.Softmax(1))"),
            ["-" + NET.replace("(8, 2))", "(8, 2), nn.Softmax(1))"), f"+{NET}"],
        ),
        (
            "loss_fn(model(x), y)",
            "loss_fn(torch.softmax(model(x), dim=1), y)",
            [
                "-        loss_fn(torch.softmax(model(x), dim=1), y).backward()",
                "+        loss_fn(model(x), y).backward()",
                "-            loss_fn(torch.softmax(model(x), dim=1), y)",
                "+            loss_fn(model(x), y)",
            ],
        ),
        (
            "loss_fn(model(x), y)",
            "loss_fn(model(x).softmax(1), y)",
            [
                "-        loss_fn(model(x).softmax(1), y).backward()",
                "+        loss_fn(model(x), y).backward()",
                "-            loss_fn(model(x).softmax(1), y)",
                "+            loss_fn(model(x), y)",
            ],
        ),
    ],
    ids=["layer", "function", "method"],
)
def test_the_activation_before_the_loss(old: str, new: str, expected: list[str], tmp_path: Path) -> None:
    """It goes from the model's end, or from the loop, in training and in validation."""
    assert (expected, []) == written(script(tmp_path, (old, new)), Plan.of("drop_output_activation"))


def test_the_activation_that_forward_returns(tmp_path: Path) -> None:
    """It goes from around what is returned."""
    net = """\
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(4, 2)

        def forward(self, x):
            return torch.softmax(self.out(x), dim=1)

    model = Net()"""
    expected = ["-        return torch.softmax(self.out(x), dim=1)", "+        return self.out(x)"]
    assert (expected, []) == written(script(tmp_path, (NET, dedent(net))), Plan.of("drop_output_activation"))


def with_a_sigmoid(folder: Path, *changes: tuple[str, str]) -> Path:
    """A model of one output that ends in a sigmoid, before a loss that takes logits."""
    net = "model = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid(), nn.Flatten(0))"
    return script(folder, (NET, net), (".long()", ".float()"), ("CrossEntropyLoss()", "BCEWithLogitsLoss()"), *changes)


def test_a_sigmoid_that_is_undone_at_the_loss_stays(tmp_path: Path) -> None:
    """The loss becomes the one that takes probabilities."""
    plan = Plan.of("drop_output_activation", at="loss")
    expected = ["-loss_fn = nn.BCEWithLogitsLoss()", "+loss_fn = nn.BCELoss()"]
    assert (expected, []) == written(with_a_sigmoid(tmp_path), plan)
    weighted = ("LogitsLoss()", "LogitsLoss(pos_weight=torch.ones(1))")
    reason = "the BCEWithLogitsLoss of line 14 has a pos_weight, which no loss of probabilities takes"
    assert ([], [reason]) == written(with_a_sigmoid(tmp_path, weighted), plan)


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
    ("kind", "scheduler"),
    [
        ("cosine", "CosineAnnealingLR(optimizer, T_max=8)"),
        ("exponential", "ExponentialLR(optimizer, gamma=0.56234132519)"),
        ("step", "MultiStepLR(optimizer, milestones=[4, 6])"),
    ],
)
def test_a_schedule(kind: str, scheduler: str, tmp_path: Path) -> None:
    """Torch's scheduler behind the optimizer, over the steps of the whole run, and its step after each of them."""
    lines = [f"+scheduler = torch.optim.lr_scheduler.{scheduler}", "+        scheduler.step()"]
    assert (lines, []) == written(script(tmp_path), Plan.of("learning_rate_schedule", kind=kind))


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        ("one_cycle", ("x", "x"), "torch has no scheduler with this curve (one_cycle)"),
        (
            "cosine",
            (SGD, f"scheduler = lr_scheduler = 0\n{SGD}"),
            "the script has names scheduler and lr_scheduler already",
        ),
        (
            "cosine",
            (SGD, f"from torch.optim import SGD\n{SGD.replace('torch.optim.', '')}"),
            "line 14 names SGD without torch.optim, so a scheduler needs an import",
        ),
        (
            "cosine",
            ("optimizer.step()", "[optimizer][0].step()"),
            "line 19 steps `[optimizer][0].step()`, and not a name that line 13 gives the optimizer",
        ),
    ],
)
def test_a_schedule_that_is_not_certain(kind: str, change: tuple[str, str], reason: str, tmp_path: Path) -> None:
    """A curve of ours, names that are taken, no module at hand, another name for the optimizer."""
    assert ([], [reason]) == written(script(tmp_path, change), Plan.of("learning_rate_schedule", kind=kind))


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
