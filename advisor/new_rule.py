"""A name and a folder -> a rule that works, with its twins: what a rule of your own starts from.

The example is a number that only the user's loop knows, given to `watch.log`: the strength of a penalty that is turned
up over the first epochs. Everything in it is there to be replaced, and passes `advisor check-rules` until it is.
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from advisor.cases import TWINS
from advisor.errors import RuleError
from advisor.rulebook import own_folder

RULE = '''\
"""The penalty was never turned up: at the end of the run its strength is still far from the whole.

## What it does

Looks at the last value of `strength`, which the loop gives to `watch.log`, and fires where it is less than half.

## Why it hurts

A schedule that is longer than the run ends in its first part: what was trained is not what was planned.

## Example

    strength = min(1.0, epoch / 100)  # in a loop of 20 epochs
    watch.log(strength=strength)

## When it is wrong

A run that was stopped early on purpose, or one that continues another, is not at the end of its schedule either.

## References

- PyTorch, torch.optim, How to adjust learning rate: schedules count the epochs that they are stepped.
  https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
"""

from __future__ import annotations

from typing import Annotated

from advisor import Evidence, Finding, Measured, Number, rule


@rule(kind="fit", needs=["strength"])
def NAME(
    run: Evidence,
    *,
    share: Annotated[float, Measured("0.19 in fixtures/NAME/faulty.py, 1 in fixtures/NAME/fixed.py")] = 0.5,
) -> Finding | None:
    planned = run.info.epochs
    if planned is not None and run.epochs < planned:
        return None  # under way: a schedule may still get there
    reached = run.curve("strength").last
    if not reached < share:  # NaN is not less
        return None
    return Finding(
        message=f"The strength of the penalty has reached {reached:.2f} at the end of {run.epochs} epochs.",
        numbers=(Number(text=f"strength {reached:.2f}", value=reached, threshold=share),),
        confidence=0.9,
        first_step="Make the warm-up shorter than the run.",
    )
'''

TWIN = '''\
"""SENTENCE"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import advisor

WARM_UP = EPOCHS  # epochs

torch.manual_seed(0)
digits = load_digits()
x, y = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
order = torch.randperm(len(x))
x, y = x[order], y[order]
train = DataLoader(TensorDataset(x[:1200], y[:1200]), batch_size=40, shuffle=True)
val = DataLoader(TensorDataset(x[1200:], y[1200:]), batch_size=600)

model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
loss_fn = nn.CrossEntropyLoss()

watch = advisor.watch(range(20), model, optimizer, loss_fn, train=train, val=val)
for epoch in watch:
    strength = min(1.0, epoch / WARM_UP)
    watch.log(strength=strength)
    model.train()
    for xb, yb in train:
        optimizer.zero_grad()
        penalty = model[0].weight.abs().mean()
        (loss_fn(model(xb), yb) + 0.01 * strength * penalty).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        for xb, yb in val:
            loss_fn(model(xb), yb)
'''

SENTENCES = {
    "faulty": ("A penalty whose warm-up is longer than the run.", "100"),
    "fixed": ("A penalty whose warm-up ends within the run.", "5"),
}


def new_rule(name: str, folder: Path) -> list[Path]:
    """Write the rule and its twins; the files. Raises: RuleError where the name cannot be one, or a file is there."""
    name = name.removesuffix(".py").replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        hint = "it becomes a function: small letters, digits and underscores, such as too_slow"
        raise RuleError(f"{name!r} cannot be the name of a rule", context="advisor new-rule", hint=hint)
    if (own_folder() / f"{name}.py").exists():
        hint = f"`advisor explain {name}` shows it; name yours differently"
        raise RuleError(f"advisor has a rule {name!r}", context="advisor new-rule", hint=hint)
    texts = {folder / f"{name}.py": RULE.replace("NAME", name)}
    for twin in TWINS:
        sentence, epochs = SENTENCES[twin]
        text = TWIN.replace("SENTENCE", sentence).replace("EPOCHS", epochs)
        texts[folder / "fixtures" / name / f"{twin}.py"] = text
    there = [str(path) for path in texts if path.exists()]
    if there:
        hint = "choose another name, or move it away"
        raise RuleError(f"there is already {', '.join(there)}", context="advisor new-rule", hint=hint)
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        what = f"cannot write {error.filename}: {error.strerror}"
        raise RuleError(what, context="advisor new-rule", hint="choose another --folder") from error
    return list(texts)
