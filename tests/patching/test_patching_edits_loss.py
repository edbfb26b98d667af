"""What a change of the training loss comes to in a script, line by line; and where an edit declines, why."""

from __future__ import annotations

from pathlib import Path

import pytest
from planned import SCRIPT, changes, script, written

from advisor.call_sites import CallSites
from advisor.patching import make_patch
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.edits.class_weights import edit
from advisor.patching.source import Source
from advisor.plan import Plan
from advisor.record import Json

WEIGHTS = Plan.of("class_weights", counts=[48, 16])  # on average 1 over the samples: 2/3 and 2
GIVEN = "weight=torch.tensor([0.666666666667, 2.0], device=y.device)"
POSITIVE = "pos_weight=torch.tensor(3.0, device=y.device)"
MADE = "loss_fn = nn.CrossEntropyLoss()"
CALL = "        loss_fn(model(x), y).backward()"
IN_VALIDATION = "            loss_fn(model(x), y)\n"
FUNCTION = ("import advisor", "import torch.nn.functional as F\nimport advisor")
UNNAMED = ("optimizer, loss_fn,", "optimizer,")

Changes = tuple[tuple[str, str], ...]


def binary(made: str, output: str = "model(x)", call: str = "loss_fn") -> Changes:
    """One column of scores, and targets to go with it."""
    return (
        ("nn.Linear(8, 2)", "nn.Linear(8, 1)"),
        ("(x.sum(1) > 0).long()", "(x.sum(1, keepdim=True) > 1).float()"),
        (MADE, made),
        ("loss_fn(model(x), y)", f"{call}({output}, y)"),
    )


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ((), f"nn.functional.cross_entropy(model(x), y, {GIVEN})"),
        (((MADE, "loss_fn = nn.NLLLoss()"),), f"nn.functional.nll_loss(model(x), y, {GIVEN})"),
        ((UNNAMED,), f"nn.functional.cross_entropy(model(x), y, {GIVEN})"),
        ((UNNAMED, (MADE, f"{MADE}.to('cpu')")), f"nn.functional.cross_entropy(model(x), y, {GIVEN})"),
        (
            ((MADE, "loss_fn = nn.CrossEntropyLoss(ignore_index=-1)"),),
            f"nn.functional.cross_entropy(model(x), y, ignore_index=-1, {GIVEN})",
        ),
        ((FUNCTION, (CALL, CALL.replace("loss_fn", "F.cross_entropy"))), f"F.cross_entropy(model(x), y, {GIVEN})"),
        (
            (FUNCTION, UNNAMED, ("loss_fn(model(x), y)", "F.nll_loss(input=model(x), target=y)")),
            f"F.nll_loss(input=model(x), target=y, {GIVEN})",
        ),
        (
            (("import torch\n", "import torch as th\n"), ("torch.", "th."), ("from th.", "from torch.")),
            f"nn.functional.cross_entropy(model(x), y, {GIVEN.replace('torch', 'th')})",
        ),
        (
            ((CALL, "        out = model(x)\n        loss_fn(out, y.view(-1)).backward()"),),
            f"nn.functional.cross_entropy(out, y.view(-1), {GIVEN.replace('y.', 'out.')})",
        ),
        (
            ((MADE, "loss_fn = nn.CrossEntropyLoss(torch.tensor([0.75, 0.25]), reduction='sum')"),),
            f"nn.functional.cross_entropy(model(x), y, reduction='sum', {GIVEN})",
        ),
        (
            binary("loss_fn = nn.BCEWithLogitsLoss()"),
            f"nn.functional.binary_cross_entropy_with_logits(model(x), y, {POSITIVE})",
        ),
        (
            (FUNCTION, *binary(MADE, call="F.binary_cross_entropy_with_logits"), UNNAMED),
            f"F.binary_cross_entropy_with_logits(model(x), y, {POSITIVE})",
        ),
    ],
    ids=[
        "object",
        "nll",
        "unnamed",
        "moved",
        "argument",
        "F",
        "keywords",
        "alias",
        "output",
        "turned",
        "binary",
        "binary F",
    ],
)
def test_weights_go_into_the_call_that_trains(changed: Changes, expected: str, tmp_path: Path) -> None:
    """One line changes: validation keeps the loss that it has."""
    path = script(tmp_path, *changed)
    before = next(line for line in path.read_text().splitlines() if line.endswith(").backward()"))
    assert ([f"-{before}", f"+        {expected}.backward()"], []) == written(path, WEIGHTS)


def test_weights_in_the_call_are_replaced(tmp_path: Path) -> None:
    """Those that rise with the shares give way where they stand."""
    given = "        F.cross_entropy(model(x), y, weight=torch.tensor([0.75, 0.25])).backward()"
    after = f"        F.cross_entropy(model(x), y, {GIVEN}).backward()"
    assert ([f"-{given}", f"+{after}"], []) == written(script(tmp_path, FUNCTION, (CALL, given)), WEIGHTS)


def test_weights_that_are_smoothed_too(tmp_path: Path) -> None:
    """Two steps of one plan write into the same call."""
    plan = Plan.of("label_smoothing", smoothing=0.2) + WEIGHTS
    expected = f"        nn.functional.cross_entropy(model(x), y, label_smoothing=0.2, {GIVEN}).backward()"
    assert ([f"-{CALL}", f"+{expected}"], []) == written(script(tmp_path), plan)


def test_a_loss_that_watch_is_given_as_a_function_is_smoothed(tmp_path: Path) -> None:
    """It was made nowhere, and stands in the loop."""
    path = script(tmp_path, FUNCTION, ("loss_fn,", "F.cross_entropy,"), ("loss_fn(", "F.cross_entropy("))
    before = CALL.replace("loss_fn", "F.cross_entropy")
    expected = ([f"-{before}", "+" + before.replace("y)", "y, label_smoothing=0.2)")], [])
    assert expected == written(path, Plan.of("label_smoothing", smoothing=0.2))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            ((CALL, CALL.replace("y)", "y.view(-1))")),),
            "line 18 has no name for its outputs or targets, whose device weights need",
        ),
        (
            ((CALL, f"        (loss_fn(model(x), y) + {CALL.strip().removesuffix('.backward()')}).backward()"),),
            "the loop of line 18 calls its loss at 2 places",
        ),
        (
            (
                ("\nfor _ in", "\ndef loss_of(x, y):\n    return loss_fn(model(x), y)\nfor _ in"),
                (CALL, "        loss_of(x, y).backward()"),
            ),
            "the loop of line 20 calls its loss at 0 places",
        ),
        (
            (
                ("import torch\n", "from torch import manual_seed, no_grad, optim, randn\n"),
                ("torch.m", "m"),
                ("torch.r", "r"),
                ("torch.n", "n"),
                ("= torch.o", "= o"),
            ),
            "the script does not import torch by its name",
        ),
        (
            (
                ("from torch import nn", "from torch import nn\nfrom torch.nn import CrossEntropyLoss"),
                (MADE, "loss_fn = CrossEntropyLoss()"),
            ),
            "line 15: `CrossEntropyLoss()` is imported by itself",
        ),
        (
            ((MADE, 'how = "mean"\nloss_fn = nn.CrossEntropyLoss(reduction=how)'),),
            "line 15: `nn.CrossEntropyLoss(reduction=how)` has arguments that are no constants by name",
        ),
        (
            (("\nfor _ in", "\nclass Own(nn.CrossEntropyLoss):\n    pass\nloss_fn = Own()\nfor _ in"),),
            "line 17: `Own()` is no CrossEntropyLoss or NLLLoss or BCEWithLogitsLoss or BCELoss",
        ),
        (
            binary("loss_fn = nn.BCELoss()", "model(x).sigmoid()"),
            "line 18 calls binary_cross_entropy, which has no weights for classes",
        ),
        (
            ((CALL, "        given = {'target': y}\n        loss_fn(model(x), **given).backward()"),),
            "line 19 hides arguments in `**given`",
        ),
        (
            (FUNCTION, (CALL, "        F.cross_entropy(model(x), y, weight=torch.tensor([1.0, 9.0])).backward()")),
            "no loss was weighted in the run",
        ),
    ],
    ids=["no name", "two", "none", "torch", "imported", "variable", "own", "probabilities", "hidden", "weighted"],
)
def test_what_is_not_certain_is_declined(changed: Changes, reason: str, tmp_path: Path) -> None:
    """The script stays as it is, and the reason names the line."""
    assert ([], [reason]) == written(script(tmp_path, *changed), WEIGHTS)


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        ({"calls": 8}, "the run did not say what the weights were"),
        ({"calls": 8, "weights": [1.0] * 21}, "21 weights are more than the 20 that a line of code is fit for"),
    ],
)
def test_weights_that_no_line_can_hold(note: dict[str, Json], reason: str, tmp_path: Path) -> None:
    """A note of another version of advisor, and a hundred classes."""
    shown = Shown(CallSites(script=""), {}, note, {})
    with pytest.raises(Declined, match=reason):
        edit(Source(tmp_path / "train.py", SCRIPT.encode()), shown)


def test_more_outputs_than_classes(tmp_path: Path) -> None:
    """A class that never occurs weighs 1, as in the run."""
    path = script(tmp_path, ("nn.Linear(8, 2)", "nn.Linear(8, 3)"))
    (_, new), reasons = written(path, WEIGHTS)
    assert (reasons, "[0.666666666667, 2.0, 1.0]" in new) == ([], True)


@pytest.mark.parametrize(
    "changed",
    [(("> 0).long()", "> 1).long()"),), binary("loss_fn = nn.BCEWithLogitsLoss()")],
    ids=["classes", "binary"],
)
def test_the_patched_script_gives_the_same_losses(changed: Changes, tmp_path: Path) -> None:
    """Of training, which is weighted by what the data set holds, and of validation, which is not."""
    path = script(tmp_path, *changed)
    patch = make_patch(path, Plan.of("class_weights"))
    assert patch.kept == {}
    assert patch.proof is not None
    assert patch.proof.epochs == 2
    assert len(changes(patch.before, patch.after)) == 2


def test_one_call_for_training_and_validation_is_not_proven(tmp_path: Path) -> None:
    """A loop over both phases would weigh validation too: the run shows it, and nothing is written."""
    body = SCRIPT[SCRIPT.index("    for x, y in train_loader") :]
    phases = """\
    for train in (True, False):
        with torch.set_grad_enabled(train):
            for x, y in (train_loader if train else val_loader):
                loss = loss_fn(model(x), y)
                if train:
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
"""
    path = script(tmp_path, ("> 0).long()", "> 1).long()"), (body, phases))
    patch = make_patch(path, Plan.of("class_weights"))
    assert patch.diff == ""
    assert patch.kept[0].startswith("not proven: val_loss of epoch 1 is")
