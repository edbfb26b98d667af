"""What a plan comes to in the source of the model, line by line; and where an edit declines, why."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from planned import NET, script, written

from advisor.plan import Plan


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
