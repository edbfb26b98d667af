"""A gradient is not a number where the loss still was one: an operation has no finite slope at the value that it met.

## What it does

Runs only after a loss was not a number. Knows the first step at which the gradient of a small parameter near the
input was NaN or infinite, of every step and not of the sampled ones only, and the loss of every step. Fires where the
gradient broke at a step whose loss was finite, the losses before it were ordinary, and the data hold no NaN.

The operations of the loss's graph whose slope can be infinite are named. Where the losses grew first, the steps were
too long and the gradients overflowed; that is for `learning_rate_too_high` and `exploding_gradients`.

## Why it hurts

The step writes NaN into every weight below the operation. From then on the loss is NaN as well, and the message
"loss is nan" points one step too late and at the wrong place.

## Example

    distance = torch.sqrt(((a - b) ** 2).sum(1))  # where a equals b: sqrt'(0) = inf, and inf * 0 = NaN

`torch.sqrt(... + 1e-8)`, `torch.linalg.vector_norm` or `torch.cdist` have a finite slope there. `torch.where` does not
help: the branch that was not chosen is differentiated as well.

## When it is wrong

Under 16 bits without a `GradScaler` a gradient overflows at an ordinary loss; the remedy then is the scaler. Where
`zero_grad(set_to_none=False)` reuses the gradients in place, what they were is not known and the rule is silent.

## References

- PyTorch, issue 23395: the gradient of `torch.where` is wrong where that of the branch that was not taken is infinite
  or NaN.
  https://github.com/pytorch/pytorch/issues/23395
- PyTorch, `torch.autograd.detect_anomaly`: names the forward operation whose backward made the first NaN.
  https://docs.pytorch.org/docs/stable/autograd.html
"""

from __future__ import annotations

import math
from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.record import Json


@rule(
    kind="signal",
    needs=["train_loss"],
    optional=["non_finite", "singular_operations"],
    remedies=["safe_sqrt", "skip_bad_steps"],
    explains=[
        "data_scarcity",
        "dead_units",
        "exploding_gradients",
        "label_noise",
        "learning_rate_too_high",
        "learning_rate_too_low",
        "non_finite_loss",
        "oscillating_loss",
        "overfitting",
        "slow_convergence",
        "too_few_epochs",
        "underfitting",
        "unstable_loss",
        "vanishing_gradients",
    ],
    at_once=True,
)
def non_finite_gradients(
    run: Evidence,
    *,
    growth: Annotated[float, Convention("an order of magnitude: ordinary batches differ by less")] = 10.0,
) -> Finding | None:
    if not run.has("non_finite"):
        return None  # every loss was a number
    found = run.table("non_finite")
    step, before, first = found.get("step"), found.get("before"), found.get("first")
    if not isinstance(step, int) or not isinstance(before, list) or _in_the_data(found):
        return None
    losses = [float(value) for value in before if isinstance(value, int | float) and math.isfinite(value)]
    broken = found.get("gradient_step")
    if not isinstance(broken, int) or broken >= step or not losses or not isinstance(first, int | float) or first <= 0:
        return None
    grew = max(losses) / first
    if grew > growth:
        return None
    names = run.fact("singular_operations") if run.has("singular_operations") else None
    operations = [str(name) for name in names] if isinstance(names, list) else []
    suspects = f" The slope of {' and of '.join(operations[:2])} can be infinite." if operations else ""
    return Finding(
        message=f"The gradient is not a number at step {broken}, where the loss was an ordinary {losses[-1]:.3g}; "
        f"the loss is not a number since step {step}.",
        numbers=(
            Number(text=f"gradient broke at step {broken}, the loss at step {step}", value=float(broken)),
            Number(text=f"losses before at most {grew:.2g} times the first", value=grew, threshold=growth),
        ),
        confidence=0.95,
        first_step="Look for a square root, a power, a division or a logarithm that meets zero, and keep it away "
        f"from there; torch.autograd.detect_anomaly names the line.{suspects}",
        since=broken,
    )


def _in_the_data(found: dict[str, Json]) -> bool:
    data, given = found.get("data"), found.get("given")
    known = isinstance(data, dict) and bool(data.get("inputs") or data.get("targets"))
    return known or (isinstance(given, list) and bool(given and given[0]))
