"""What the text of a script shows, with its line; and that it supports a finding and never makes one."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from advisor.evidence import Evidence
from advisor.record import Record, RunInfo
from advisor.rulebook import load_rule
from advisor.source_facts import source_facts

RULE = '''"""Fires where the run has a number of epochs.

## What it does
## Why it hurts
## Example
## When it is wrong
## References
"""
from advisor import Finding, rule

@rule(kind="fit", needs=[], in_source=["no_zero_grad", "unshuffled_loader"])
def planned(run):
    return Finding(message="It is 1.", numbers=(), confidence=0.5) if run.info.epochs else None
'''


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("loss.backward()", "line 1: backward(), and no zero_grad() in the script"),
        ("loss.backward()\noptimizer.zero_grad()", None),
        ("for p in model.parameters(): p.grad = None\nloss.backward()", None),
        ("optimizer.step()", None),
    ],
)
def test_no_zero_grad(text: str, fact: str | None) -> None:
    """Where gradients are computed, and none is ever touched."""
    assert source_facts(text).get("no_zero_grad") == fact


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("train = DataLoader(data, batch_size=8)", 1),
        ("x = 1\nself.train_loader = torch.utils.data.DataLoader(data, 8, shuffle=False)", 2),
        ("train, val = DataLoader(a), DataLoader(b)", 1),
        ("train, val = DataLoader(a, shuffle=True), DataLoader(b)", None),
        ("train = DataLoader(data, 8, True)", None),
        ("train = DataLoader(data, shuffle=flag)", None),
        ("train = DataLoader(data, sampler=drawn)", None),
        ("train = DataLoader(data, **options)", None),
        ("val = DataLoader(data)", None),
        ("watch(range(3), model, optimizer, train=DataLoader(data))", 1),
    ],
)
def test_unshuffled_loader(text: str, line: int | None) -> None:
    """A loader for training without shuffle=True, where nothing else can decide on the order."""
    fact = source_facts(text).get("unshuffled_loader")
    assert (fact is None) == (line is None)
    assert fact is None or fact.startswith(f"line {line}: train")


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("model = nn.Sequential(nn.Linear(2, 2), nn.Softmax(dim=1))", "line 1: nn.Softmax(dim=1)"),
        ("model = nn.Sequential(nn.Softmax(dim=1), nn.Linear(2, 2))", None),
        ("loss = loss_fn(torch.softmax(model(x), 1), y)", "line 1: torch.softmax(model(x), 1)"),
        (
            """
            class Net(nn.Module):
                def forward(self, x):
                    weights = F.softmax(self.keys(x), dim=1)
                    return self.head(weights @ x).softmax(1)
            """,
            "line 5: self.head(weights @ x).softmax(1)",
        ),
        (
            """
            class Net(nn.Module):
                def forward(self, x):
                    return self.head(F.softmax(self.keys(x), dim=1) @ x)
            """,
            None,
        ),
    ],
)
def test_softmax_last(text: str, fact: str | None) -> None:
    """What leaves the model or enters the loss; attention is no concern of it."""
    assert source_facts(dedent(text)).get("softmax_last") == fact


def test_sigmoid_last() -> None:
    """The same for a sigmoid; one between two layers is an activation."""
    assert source_facts("m = Sequential(Linear(2, 1), Sigmoid())")["sigmoid_last"] == "line 1: Sigmoid()"
    assert source_facts("m = Sequential(Sigmoid(), Linear(2, 1))") == {}


def test_a_text_that_is_no_python() -> None:
    """Shows nothing."""
    assert source_facts("for") == {}
    assert source_facts("\0") == {}


def test_the_text_supports_what_fired_and_accuses_nobody(tmp_path: Path) -> None:
    """Of the facts that a rule names, those that are there, in its order; nothing where it is clear."""
    (tmp_path / "planned.py").write_text(RULE)
    rule = load_rule(tmp_path / "planned.py")
    source = "train = DataLoader(data)\nloss.backward()\nm = Sequential(Sigmoid())\n"
    fired = rule.run(Evidence(Record(RunInfo(epochs=3, source=source)))).finding
    assert fired is not None
    assert fired.supported_by == (
        "line 2: backward(), and no zero_grad() in the script",
        "line 1: train = DataLoader(...) without shuffle=True",
    )
    assert rule.run(Evidence(Record(RunInfo(source=source)))).result == "clear"
    unknown = rule.run(Evidence(Record(RunInfo(epochs=3)))).finding
    assert unknown is not None
    assert unknown.supported_by == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("right = (model(x) > 0.5) == y", 1),
        ("x = 1\nhits = output.round() == y", 2),
        ("hits = torch.round(output).eq(y)", 1),
        ("right = torch.sigmoid(output) > 0.5", None),
        ("right = output > 0", None),
        ("drop = torch.rand(8) > 0.5", None),
        ("print(round(score, 3), np.round(score, 3), score.round(3))", None),
    ],
)
def test_read_as_probabilities(text: str, line: int | None) -> None:
    """Rounded, or compared with a half: not logits, random numbers, or what is printed."""
    fact = source_facts(text).get("read_as_probabilities")
    assert (line is not None) == (fact is not None)
    assert fact is None or fact.startswith(f"line {line}: ")
