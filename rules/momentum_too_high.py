"""The optimizer averages over so many steps that it runs past every valley before it can turn.

## What it does

A momentum of β adds up the gradients of about 1 / (1 - β) steps. Fires where that is more than fifty (β above 0.98) for
stochastic gradient descent and the training loss rose from epoch to epoch, beyond its noise, in more than a quarter
of the epochs, or ended at more than one and a half times its best, while the training data are not fit.

A high momentum by itself is a choice: with a rate that is low enough it works, and the rule is silent.

## Why it hurts

Under momentum the step is lr / (1 - β) times the gradient: with 0.995 two hundred learning rates. The weights swing
around the minimum with a period of many steps, and the loss with them.

## Example

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.995)  # 0.9 was meant

## When it is wrong

Any fault that makes the loss swing is blamed on the momentum where the momentum is this high.

## References

- Goh, Why Momentum Really Works, Distill 2017: where β is too large the weights swing like an underdamped spring.
  https://distill.pub/2017/momentum/
- Sutskever et al., On the importance of initialization and momentum in deep learning, ICML 2013: values
  up to 0.999, reached by a schedule and with a rate chosen for each, tend to do better; 0.9 in the last 1,000 updates
  lets the weights settle. https://proceedings.mlr.press/v28/sutskever13.html
- PyTorch, `torch.optim.SGD`: how momentum enters the step.
  https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Measured, Number, rule
from advisor.progress import after, is_finite, learnt
from advisor.record import Json

FEWEST = 4  # epochs: three steps from one to the next


@rule(
    kind="optimisation",
    needs=["train_loss", "optimizer"],
    optional=["clean_train_score", "chance_score", "step_loss", "train_loss_std", "steps_per_epoch"],
    remedies=["optimizer", "learning_rate"],
    explains=[
        "dead_units",
        "exploding_gradients",
        "label_noise",
        "learning_rate_too_high",
        "oscillating_loss",
        "overfitting",
        "underfitting",
        "unstable_loss",
    ],
)
def momentum_too_high(
    run: Evidence,
    *,
    memory: Annotated[float, Convention("steps that are added up: 0.9 has 10, 0.98 has 50, 0.99 has 100")] = 50.0,
    often: Annotated[float, Convention("of the epochs: as many rises are no accident")] = 0.25,
    above: Annotated[
        float, Measured("fixtures/momentum_too_high/faulty.py: ends at 2 times its best loss; its fixed twin at 1")
    ] = 1.5,
    error: Annotated[float, Convention("a twentieth of the way from a perfect fit to guessing: less is a tail")] = 0.05,
) -> Finding | None:
    losses, wrong = run.curve("train_loss"), 1.0 - learnt(run)
    momentum = _momentum(run.fact("optimizer"))
    steps = 1.0 / max(1.0 - momentum, 1e-9)  # 1e-9: a momentum of 1 never forgets
    if steps < memory or len(losses) < FEWEST or not is_finite(losses):
        return None
    rises = _rises(run)
    ended, best = after(losses.values), float(losses.values.min())
    lift = ended / max(best, 1e-30)
    if not wrong > error or (rises < often and lift < above):
        return None
    return Finding(
        message=f"The momentum of {momentum:g} is too high: it adds up about {steps:.0f} steps, the loss rose in "
        f"{rises:.0%} of the epochs, and ended at {ended:.3g} after a best of {best:.3g}.",
        numbers=(
            Number(text=f"about {steps:.0f} steps are added up", value=steps, threshold=memory),
            Number(text=f"rises in {rises:.0%} of the epochs", value=rises, threshold=often),
            Number(text=f"end over best loss {lift:.2g}", value=lift, threshold=above),
        ),
        confidence=0.96,  # above what the swings look like to other rules
        first_step="Set the momentum to 0.9; if training is then too slow, raise the learning rate.",
        since=0,
    )


def _momentum(groups: Json) -> float:
    """The largest of plain SGD: Adam's first beta divides by what it adds up, and is no momentum in this sense."""
    if not isinstance(groups, list):
        return 0.0
    found = [g.get("momentum") for g in groups if isinstance(g, dict) and g.get("class") in ("SGD", "RMSprop")]
    return max((float(m) for m in found if isinstance(m, int | float)), default=0.0)


def _rises(run: Evidence) -> float:
    """Share of the steps from epoch to epoch that go up by more than two standard errors."""
    values = run.curve("train_loss").values
    errors = np.zeros(len(values))
    if run.has("train_loss_std") and run.has("steps_per_epoch"):
        scatter = run.curve("train_loss_std").values
        if len(scatter) == len(values):
            errors = scatter / np.sqrt(max(run.number("steps_per_epoch"), 1.0))
    return float((np.diff(values) > 2.0 * np.hypot(errors[1:], errors[:-1])).mean())
