"""What a plan comes to in the source around the optimizer, line by line; and where an edit declines, why."""

from __future__ import annotations

from pathlib import Path

import pytest
from planned import SGD, script, written

from advisor.plan import Plan


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
        (
            Plan.of("optimizer", kind="sgd", lr=0.01, momentum=0.9),
            "optimizer = torch.optim.SGD(model.parameters(), lr=2 * 0.005, momentum=0.99)",
            "optimizer = torch.optim.SGD(model.parameters(), lr=2 * 0.005, momentum=0.9)",
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


def test_a_schedule_in_the_place_of_another(tmp_path: Path) -> None:
    """The lines that make and step the script's own would have to go, wherever they are."""
    scheduler = f"{SGD}\nscheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)"
    plan = Plan.of("learning_rate_schedule", kind="cosine", instead=True)
    assert ([], ["the script's own scheduler would have to go"]) == written(script(tmp_path, (SGD, scheduler)), plan)
